// The limit of what any loader can reach: threads that gather shuffled batches of a .npy file into
// buffers of their own, again and again, with nobody to hand them to.
//
//   raw_gather FILE.npy BATCH THREADS SECONDS SEED
//
// prints the mean microseconds a batch, once warmed up.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/gather/gather.h"
#include "core/os/buffer_pool.h"
#include "core/source/array.h"

namespace {

using Clock = std::chrono::steady_clock;

void Run(const std::string& path, size_t batch, int threads, double seconds, unsigned seed) {
  const auto array = npyfast::Array::Open(std::vector{path});
  const npyfast::Gather gather(array, npyfast::Fields::kTogether);
  std::vector<int64_t> rows(static_cast<size_t>(array->rows()));
  std::iota(rows.begin(), rows.end(), 0);
  std::shuffle(rows.begin(), rows.end(), std::mt19937_64(seed));
  const size_t batches = rows.size() / batch;

  std::atomic<bool> stop{false};
  std::atomic<size_t> next{0};
  std::atomic<int64_t> done{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&] {
      const npyfast::Buffer buffer =
          npyfast::AcquireBuffer(batch * static_cast<size_t>(gather.row_bytes()));
      std::byte* out = buffer.get();
      while (!stop.load(std::memory_order_relaxed)) {
        const size_t b = next.fetch_add(1, std::memory_order_relaxed) % batches;
        gather.Rows(std::span(rows).subspan(b * batch, batch), &out);
        done.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  // The first pass maps the file's pages, and the first half second is not steady: neither is the
  // limit.
  const auto warm = Clock::now() + std::chrono::milliseconds(500);
  while (done < static_cast<int64_t>(batches) || Clock::now() < warm)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto begin = Clock::now();
  const int64_t before = done;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const double spent = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  std::printf("%.4f\n", spent / static_cast<double>(std::max<int64_t>(done - before, 1)));
  stop = true;
  for (std::thread& worker : workers) worker.join();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: raw_gather FILE.npy BATCH THREADS SECONDS SEED\n");
    return 2;
  }
  try {
    Run(argv[1], std::strtoull(argv[2], nullptr, 10), std::atoi(argv[3]),
        std::strtod(argv[4], nullptr), static_cast<unsigned>(std::strtoul(argv[5], nullptr, 10)));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "raw_gather: %s\n", e.what());
    return 1;
  }
  return 0;
}
