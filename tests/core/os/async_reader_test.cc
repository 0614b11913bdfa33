#include "core/os/async_reader.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/os/direct_file.h"
#include "core/os/file.h"
#include "core/os/page_size.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;
using testing::TempFolder;
using Completions = std::vector<AsyncReader::Completion>;

constexpr int64_t kBlock = 4096;
constexpr int kDepth = 64;
constexpr auto kPatience = 300'000ms;

// A file of random bytes, its direct descriptor if the file system has one, and memory to read
// into.
struct Example {
  explicit Example(int64_t size)
      : contents(testing::RandomBytes(static_cast<size_t>(size))), path(folder / "a") {
    testing::WriteFile(path, testing::AsText(contents));
    file.emplace(path);
    direct = DirectFile::Open(*file);
    cached = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  ~Example() { ::close(cached); }

  int descriptor() const { return direct != nullptr ? direct->descriptor() : cached; }
  AsyncReader::Request At(int64_t block, int place) const {
    return {descriptor(), block * kBlock, buffers.bytes().data() + place * kBlock, kBlock,
            static_cast<uint64_t>(place)};
  }

  TempFolder folder;
  std::vector<std::byte> contents;
  std::string path;
  std::optional<MappedFile> file;
  std::shared_ptr<const DirectFile> direct;
  int cached = -1;
  DirectBuffers buffers{kDepth * kBlock};
};

// Runs a test with each method that this system allows.
void ForEachMethod(const Example& example, int depth,
                   const std::function<void(AsyncReader&)>& test) {
  const std::unique_ptr<AsyncReader> readers[] = {MakeIoUringReader(depth, example.buffers.bytes()),
                                                  MakeIoUringReader(depth, {}),
                                                  MakeAioReader(depth), MakeThreadReader(depth)};
  for (const auto& reader : readers) {
    if (reader == nullptr) continue;
    CHECK_EQ(reader->depth(), depth);
    CHECK_EQ(reader->in_flight(), 0);
    test(*reader);
  }
}

Completions WaitForAll(AsyncReader& reader) {
  Completions completed;
  while (reader.in_flight() > 0) reader.Wait(reader.in_flight(), kPatience, &completed);
  return completed;
}

// Reads one range and returns its result.
int64_t ReadOne(AsyncReader& reader, const AsyncReader::Request& request) {
  reader.Add(request);
  const Completions completed = WaitForAll(reader);
  CHECK_EQ(completed.size(), 1U);
  CHECK_EQ(completed[0].tag, request.tag);
  return completed[0].result;
}

TEST(AsyncReader, ReadsTheRightBytesManyAtOnce) {
  constexpr int64_t kBlocks = 3000;
  const Example example(kBlocks * kBlock);
  ForEachMethod(example, kDepth, [&example](AsyncReader& reader) {
    std::mt19937_64 random(5);
    std::vector<int64_t> blocks(kDepth);
    Completions completed;
    int begun = 0;
    const auto begin = [&](int place) {
      blocks[static_cast<size_t>(place)] = static_cast<int64_t>(random() % kBlocks);
      reader.Add(example.At(blocks[static_cast<size_t>(place)], place));
      ++begun;
    };
    for (int place = 0; place < kDepth; ++place) begin(place);
    CHECK_EQ(reader.in_flight(), kDepth);
    int done = 0;
    while (reader.in_flight() > 0) {
      const int before = reader.in_flight();
      completed.clear();
      reader.Wait(1, kPatience, &completed);
      CHECK(!completed.empty());
      CHECK_EQ(reader.in_flight(), before - static_cast<int>(completed.size()));
      for (const auto& [tag, result] : completed) {
        CHECK(tag < kDepth);
        CHECK_EQ(result, kBlock);
        CHECK(std::memcmp(example.buffers.bytes().data() + tag * kBlock,
                          example.contents.data() + blocks[tag] * kBlock, kBlock) == 0);
        ++done;
        if (begun < 2000) begin(static_cast<int>(tag));
      }
      CHECK(reader.in_flight() <= kDepth);
    }
    CHECK_EQ(done, 2000);
  });
}

TEST(AsyncReader, TheLastBlockIsShortAndThenThereIsNothing) {
  const Example example(2 * kBlock + 100);
  ForEachMethod(example, 4, [&example](AsyncReader& reader) {
    CHECK_EQ(ReadOne(reader, example.At(2, 0)), 100);
    CHECK(std::memcmp(example.buffers.bytes().data(), example.contents.data() + 2 * kBlock, 100) ==
          0);
    CHECK_EQ(ReadOne(reader, example.At(3, 1)), 0);
    CHECK_EQ(ReadOne(reader, example.At(1000, 1)), 0);
    // A range that reaches beyond the end.
    CHECK_EQ(ReadOne(reader,
                     {example.descriptor(), kBlock, example.buffers.bytes().data(), 4 * kBlock, 7}),
             kBlock + 100);
  });
}

TEST(AsyncReader, AHoleIsZeros) {
  const Example example(kBlock);
  std::filesystem::resize_file(example.path, 64 * kBlock);
  ForEachMethod(example, 4, [&example](AsyncReader& reader) {
    std::byte* const out = example.buffers.bytes().data();
    std::memset(out, 1, kBlock);
    CHECK_EQ(ReadOne(reader, example.At(40, 0)), kBlock);
    CHECK(std::all_of(out, out + kBlock, [](std::byte b) { return b == std::byte{0}; }));
  });
}

TEST(AsyncReader, AnErrorIsItsReadsAlone) {
  const Example example(8 * kBlock);
  ForEachMethod(example, 4, [&example](AsyncReader& reader) {
    for (int place = 0; place < 4; ++place) {
      AsyncReader::Request request = example.At(place, place);
      if (place == 1) request.descriptor = -1;
      reader.Add(request);
    }
    const Completions completed = WaitForAll(reader);
    CHECK_EQ(completed.size(), 4U);
    for (const auto& [tag, result] : completed) CHECK_EQ(result, tag == 1 ? -EBADF : kBlock);
    // And it goes on.
    CHECK_EQ(ReadOne(reader, example.At(5, 0)), kBlock);
  });
}

TEST(AsyncReader, WaitsNoLongerThanItIsTold) {
  const Example example(kDepth * kBlock);
  ForEachMethod(example, kDepth, [&example](AsyncReader& reader) {
    Completions completed;
    reader.Wait(0, kPatience, &completed);  // for nothing
    CHECK(completed.empty());
    for (int place = 0; place < kDepth; ++place) reader.Add(example.At(place, place));
    const auto start = std::chrono::steady_clock::now();
    reader.Wait(0, kPatience, &completed);
    while (reader.in_flight() > 0) reader.Wait(reader.in_flight(), 1ms, &completed);
    CHECK(std::chrono::steady_clock::now() - start < kPatience / 2);
    CHECK_EQ(completed.size(), size_t{kDepth});
  });
}

// A pipe has nothing to read until somebody writes: a read of it is in flight for as long as that.
TEST(AsyncReader, ATimeoutReturnsWhileReadsAreInFlight) {
  const Example example(kBlock);
  ForEachMethod(example, 4, [&example](AsyncReader& reader) {
    if (reader.method() != ReadMethod::kIoUring) return;  // the others need a file
    int pipe[2];
    CHECK_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    reader.Add({pipe[0], -1, example.buffers.bytes().data(), 8, 3});
    Completions completed;
    const auto start = std::chrono::steady_clock::now();
    reader.Wait(0, kPatience, &completed);
    CHECK(std::chrono::steady_clock::now() - start < kPatience / 2);
    reader.Wait(1, 20ms, &completed);
    CHECK(std::chrono::steady_clock::now() - start >= 20ms);
    CHECK(std::chrono::steady_clock::now() - start < kPatience / 2);
    CHECK(completed.empty());
    CHECK_EQ(reader.in_flight(), 1);
    CHECK_EQ(::write(pipe[1], "12345678", 8), 8);
    reader.Wait(1, kPatience, &completed);
    CHECK_EQ(completed.size(), 1U);
    CHECK_EQ(completed[0].result, 8);
    ::close(pipe[0]);
    ::close(pipe[1]);
  });
}

// What was read into may go right after the reader.
TEST(AsyncReader, EndsAfterAllThatIsInFlight) {
  const Example example(kDepth * kBlock);
  for (int round = 0; round < 20; ++round) {
    ForEachMethod(example, kDepth, [&](AsyncReader& reader) {
      for (int place = 0; place < kDepth; ++place) reader.Add(example.At(place, place));
      Completions completed;
      if (round % 2 == 0) reader.Wait(0, 0ms, &completed);
    });
  }
}

TEST(AsyncReader, MakesTheMethodThatWasAskedFor) {
  const DirectBuffers buffers(kBlock);
  CHECK(AsyncReader::Make(ReadMethod::kThreads, 4, buffers.bytes())->method() ==
        ReadMethod::kThreads);
  CHECK(AsyncReader::Make(ReadMethod::kAio, 4, buffers.bytes())->method() != ReadMethod::kIoUring);
  CHECK_EQ(AsyncReader::Make(ReadMethod::kIoUring, 4, buffers.bytes())->depth(), 4);
  CHECK_EQ(std::string(ReadMethodName(ReadMethod::kIoUring)), "io_uring");
  CHECK_EQ(std::string(ReadMethodName(ReadMethod::kAio)), "aio");
  CHECK_EQ(std::string(ReadMethodName(ReadMethod::kThreads)), "threads");
}

// --- Files for direct reads.

TEST(DirectFile, AsksForWholeBlocks) {
  const Example example(3 * kBlock + 5);
  testing::NeedsDirectReads(example.path, example.direct != nullptr);
  const int64_t alignment = example.direct->alignment();
  CHECK(std::has_single_bit(static_cast<uint64_t>(alignment)));
  CHECK(alignment <= DirectFile::kMostAlignment);
  std::byte* const out = example.buffers.bytes().data();
  const auto bytes = static_cast<size_t>(alignment);
  CHECK_EQ(::pread(example.direct->descriptor(), out, bytes, alignment), alignment);
  CHECK(std::memcmp(out, example.contents.data() + alignment, bytes) == 0);
}

// Otherwise io_uring may end reads with EAGAIN.
TEST(DirectFile, ItsReadsWait) {
  const Example example(kBlock);
  testing::NeedsDirectReads(example.path, example.direct != nullptr);
  CHECK_EQ(::fcntl(example.direct->descriptor(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(DirectFile, OfAFileThatChangedThereIsNone) {
  const Example example(2 * kBlock);
  testing::NeedsDirectReads(example.path, example.direct != nullptr);
  const std::string other = example.folder / "other";
  testing::WriteFile(other, "1234");
  std::filesystem::rename(other, example.path);
  CHECK(DirectFile::Open(*example.file) == nullptr);
  std::filesystem::remove(example.path);
  CHECK(DirectFile::Open(*example.file) == nullptr);

  const std::string longer = example.folder / "longer";
  testing::WriteFile(longer, testing::AsText(example.contents));
  const MappedFile file(longer);
  CHECK(DirectFile::Open(file) != nullptr);
  std::filesystem::resize_file(longer, 3 * kBlock);
  CHECK(DirectFile::Open(file) == nullptr);
}

TEST(DirectFile, OfAFileShorterThanABlock) {
  const Example example(100);
  testing::NeedsDirectReads(example.path, example.direct != nullptr);
  std::byte* const out = example.buffers.bytes().data();
  CHECK_EQ(::pread(example.direct->descriptor(), out, kBlock, 0), 100);
}

// tmpfs opens files with O_DIRECT since Linux 6.6, and then reads them from memory all the same.
TEST(DirectFile, OfMemoryThereIsNone) {
  const std::filesystem::path memory = "/dev/shm";
  if (!std::filesystem::is_directory(memory) || !testing::HasNoDisk(memory.string()))
    SKIP("there is no tmpfs");
  std::string name = (memory / "npyfast-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  CHECK(descriptor >= 0);
  CHECK_EQ(::write(descriptor, "12345678", 8), 8);
  ::close(descriptor);
  const MappedFile file(name);
  const bool none = DirectFile::Open(file) == nullptr;
  std::filesystem::remove(name);
  CHECK(none);
}

// An overlay of tmpfs takes O_DIRECT as well, and is none by its name.
TEST(DirectFile, OfAnOverlayOfMemoryThereIsNone) {
  const std::string memory = "/dev/shm";
  if (!std::filesystem::is_directory(memory) || !testing::HasNoDisk(memory))
    SKIP("there is no tmpfs");
  IN_CHILD([&memory] {
    // Mounts of its own, which go with the child. They need rights.
    if (::unshare(CLONE_NEWNS) != 0) return;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
    if (::mount("tmpfs", memory.c_str(), "tmpfs", 0, nullptr) != 0) return;
    std::string options;
    for (const std::string name : {"lower", "upper", "work"}) {
      std::filesystem::create_directory(memory + "/" + name);
      options += (options.empty() ? "" : ",") + name + "dir=" + memory + "/" + name;
    }
    testing::WriteFile(memory + "/lower/a", std::string(3 * kBlock, 'x'));
    const std::string folder = memory + "/over";
    std::filesystem::create_directory(folder);
    if (::mount("overlay", folder.c_str(), "overlay", 0, options.c_str()) != 0) return;
    const MappedFile file(folder + "/a");
    CHECK(DirectFile::Open(file) == nullptr);
  });
}

TEST(DirectBuffers, BeginAtAPage) {
  for (const size_t bytes : {size_t{1}, size_t{5000}, size_t{8} << 20}) {
    const DirectBuffers buffers(bytes);
    CHECK_EQ(buffers.bytes().size(), bytes);
    CHECK_EQ(
        reinterpret_cast<uintptr_t>(buffers.bytes().data()) % static_cast<uintptr_t>(PageBytes()),
        0U);
    buffers.bytes().front() = buffers.bytes().back() = std::byte{1};
  }
  CHECK_THROWS(DirectBuffers(SIZE_MAX / 2), std::bad_alloc, "");
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
