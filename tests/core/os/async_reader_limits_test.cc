// What systems refuse, and what is left behind.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "core/os/async_reader.h"
#include "core/os/direct_file.h"
#include "core/os/file.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;
using Completions = std::vector<AsyncReader::Completion>;

constexpr int64_t kBlock = 4096;
constexpr int kDepth = 64;
constexpr auto kPatience = 300'000ms;

// A file of kDepth random blocks, and its direct descriptor if the file system has one.
struct Example {
  Example() : contents(testing::RandomBytes(kDepth * kBlock)), path(folder / "a") {
    testing::WriteFile(path, testing::AsText(contents));
    direct = DirectFile::Open(MappedFile(path));
    cached = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  ~Example() { ::close(cached); }

  int descriptor() const { return direct != nullptr ? direct->descriptor() : cached; }

  testing::TempFolder folder;
  std::vector<std::byte> contents;
  std::string path;
  std::shared_ptr<const DirectFile> direct;
  int cached = -1;
};

// Reads the file so often that buffers are registered meanwhile, if they may be.
void CheckReads(AsyncReader& reader, const Example& example, const DirectBuffers& buffers) {
  std::byte* const out = buffers.bytes().data();
  for (int round = 0; round < 4; ++round) {
    std::fill(buffers.bytes().begin(), buffers.bytes().end(), std::byte{0});
    for (int64_t block = 0; block < kDepth; ++block)
      reader.Add({example.descriptor(), block * kBlock, out + block * kBlock, kBlock, 0});
    Completions completed;
    while (reader.in_flight() > 0) reader.Wait(reader.in_flight(), kPatience, &completed);
    for (const auto& [tag, result] : completed) CHECK_EQ(result, kBlock);
    CHECK(std::equal(example.contents.begin(), example.contents.end(), out));
  }
}

// Makes system calls of this process fail with EPERM, as containers do.
void Forbid(std::initializer_list<long> calls) {
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const long call : calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog all = {static_cast<unsigned short>(program.size()), program.data()};
  CHECK_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  CHECK_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all), 0);
}

constexpr long kIoUringSetup = 425;
constexpr long kIoUringEnter = 426;

TEST(AsyncReader, StepsDownWhereTheSystemForbidsAMethod) {
  const Example example;
  // The method that reads are made by.
  const auto method = [&example] {
    const DirectBuffers buffers(kDepth * kBlock);
    const auto reader = AsyncReader::Make(ReadMethod::kIoUring, kDepth, buffers.bytes());
    CheckReads(*reader, example, buffers);
    return reader->method();
  };
  const bool aio = MakeAioReader(4) != nullptr;
  const ReadMethod next = aio ? ReadMethod::kAio : ReadMethod::kThreads;
  IN_CHILD([&] {
    Forbid({kIoUringSetup});
    CHECK(method() == next);
    Forbid({SYS_io_setup});
    CHECK(method() == ReadMethod::kThreads);
  });
  // The first step is allowed, and not the second.
  IN_CHILD([&] {
    Forbid({kIoUringEnter});
    CHECK(method() == next);
    Forbid({SYS_io_submit});
    CHECK(method() == ReadMethod::kThreads);
  });
  if (!aio) return;
  IN_CHILD([&] {
    const DirectBuffers buffers(kBlock);
    const auto reader = MakeAioReader(4);
    reader->Add({example.descriptor(), 0, buffers.bytes().data(), kBlock, 0});
    Forbid({SYS_io_getevents});
    Completions completed;
    CHECK_THROWS(reader->Wait(1, kPatience, &completed), std::system_error, "io_getevents");
  });
}

TEST(AsyncReader, ReadsIntoMemoryThatMayNotBeRegistered) {
  const Example example;
  IN_CHILD([&example] {
    const rlimit none = {0, 0};
    CHECK_EQ(::setrlimit(RLIMIT_MEMLOCK, &none), 0);
    if (::getuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return;  // root has no limit
    const DirectBuffers buffers(kDepth * kBlock);
    const auto reader = AsyncReader::Make(ReadMethod::kIoUring, kDepth, buffers.bytes());
    CheckReads(*reader, example, buffers);
  });
}

// Kilobytes that devices may write to at any time.
int64_t PinnedKib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmPin:")) return std::stoll(line.substr(6));
  }
  return 0;
}

TEST(AsyncReader, LeavesNoMemoryToAForkedChild) {
  const Example example;
  const int64_t before = PinnedKib();
  const DirectBuffers buffers(kDepth * kBlock);
  auto reader = MakeIoUringReader(kDepth, buffers.bytes());
  if (reader == nullptr) SKIP("this system has no io_uring");
  CheckReads(*reader, example, buffers);
  if (PinnedKib() == before) SKIP("memory can't be registered");
  int pipe[2];
  CHECK_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::close(pipe[1]);
    static_cast<void>(!::read(pipe[0], &byte, 1));  // until the parent is done
    ::_exit(0);
  }
  ::close(pipe[0]);
  reader.reset();
  const int64_t after = PinnedKib();
  ::close(pipe[1]);
  ::waitpid(child, nullptr, 0);
  CHECK_EQ(after, before);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
