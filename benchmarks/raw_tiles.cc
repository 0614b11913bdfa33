// The limit for random tiles of an image: threads that copy them, line by line, into buffers of
// their own, again and again, with nobody to hand them to.
//
//   raw_tiles FILE OFFSET HEIGHT WIDTH TILE STRIDE BATCH THREADS SECONDS
//
// where FILE holds HEIGHT x WIDTH pixels of 3 bytes from OFFSET on. Prints the mean microseconds a
// batch of square tiles, once warmed up.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 10) {
    std::fprintf(stderr,
                 "usage: raw_tiles FILE OFFSET HEIGHT WIDTH TILE STRIDE BATCH THREADS SECONDS\n");
    return 2;
  }
  size_t numbers[7];  // from OFFSET to THREADS
  for (size_t i = 0; i < 7; ++i) numbers[i] = std::strtoull(argv[i + 2], nullptr, 10);
  const auto [offset, height, width, tile, stride, batch, threads] = numbers;
  const int file = open(argv[1], O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  const void* mapped = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ,
                            MAP_SHARED | MAP_POPULATE, file, 0);
  if (mapped == MAP_FAILED) {
    std::perror(argv[1]);
    return 1;
  }
  const char* pixels = static_cast<const char*>(mapped) + offset;
  std::atomic<bool> stop{false};
  std::atomic<long> done{0};
  std::vector<std::thread> workers;
  for (size_t worker = 0; worker < threads; ++worker) {
    workers.emplace_back([&, worker] {
      std::mt19937_64 random(worker);
      std::vector<char> out(batch * tile * tile * 3);
      while (!stop) {
        char* line = out.data();
        for (size_t i = 0; i < batch; ++i) {
          const size_t top = random() % ((height - tile) / stride + 1) * stride;
          const size_t left = random() % ((width - tile) / stride + 1) * stride;
          for (size_t y = 0; y < tile; ++y, line += tile * 3)
            std::memcpy(line, pixels + ((top + y) * width + left) * 3, tile * 3);
        }
        ++done;
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const long before = done;
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(std::strtod(argv[9], nullptr)));
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - begin;
  std::printf("%.4f\n", spent.count() / static_cast<double>(done - before));
  stop = true;
  for (std::thread& worker : workers) worker.join();
}
