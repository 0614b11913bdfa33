#include "core/os/resource_limits.h"

#include <sched.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

TEST(UsableCpus, IsAtLeastOneAndNoMoreThanThereAre) {
  const int cpus = UsableCpus();
  CHECK(cpus >= 1);
  const auto known = static_cast<int>(std::thread::hardware_concurrency());
  CHECK(known == 0 || cpus <= known);
}

TEST(UsableCpus, FollowsTheAffinityMask) {
  cpu_set_t before;
  CHECK_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  const int cpus = UsableCpus();
  cpu_set_t one;
  CPU_ZERO(&one);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_SET(first, &one);
  CHECK_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  const int bound = UsableCpus();
  CHECK_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  CHECK_EQ(bound, 1);
  CHECK_EQ(UsableCpus(), cpus);
}

TEST(UsableCpus, MayBeAskedFromAnyThread) {
  const int cpus = UsableCpus();
  std::vector<int> answers(4);
  std::vector<std::thread> threads;
  for (int& answer : answers) threads.emplace_back([&answer] { answer = UsableCpus(); });
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(answers, std::vector<int>(4, cpus));
}

using Files = std::map<std::string, std::string>;

constexpr int64_t kMiB = 1 << 20;

// Of a machine with 8 GiB to spare and these files.
int64_t Usable(Files files) {
  const testing::TempFolder root;
  files.emplace("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:  8388608 kB\nMemFree: 5 kB\n");
  for (const auto& [name, text] : files) {
    std::filesystem::create_directories(std::filesystem::path(root / name).parent_path());
    testing::WriteFile(root / name, text);
  }
  return UsableMemoryOf(root / "");
}

std::string Text(int64_t mib) { return std::to_string(mib * kMiB) + "\n"; }

TEST(UsableMemory, OfThisMachine) {
  const int64_t bytes = UsableMemory();
  CHECK(bytes > 0);
  CHECK(bytes < int64_t{1} << 50);
}

TEST(UsableMemory, WithoutGroupsItIsWhatTheMachineHas) {
  CHECK_EQ(Usable({}), 8192 * kMiB);
  CHECK_EQ(Usable({{"proc/self/cgroup", "0::/a\n"}}), 8192 * kMiB);
  CHECK_EQ(Usable({{"proc/self/cgroup", "\n4:cpu\n4:cpu:/a\nnonsense"}}), 8192 * kMiB);
}

TEST(UsableMemory, WhereNothingIsKnownItIsUnlimited) {
  CHECK_EQ(Usable({{"proc/meminfo", "MemFree: 5 kB\n"}}), INT64_MAX);
}

TEST(UsableMemory, WhatAGroupHoldsIsNotToBeHad) {
  Files files = {{"proc/self/cgroup", "0::/a/b\n"},
                 {"sys/fs/cgroup/a/b/memory.max", Text(1000)},
                 {"sys/fs/cgroup/a/b/memory.current", Text(700)},
                 {"sys/fs/cgroup/a/b/memory.stat", "anon 5\nfile " + Text(400) + "shmem 0\n"}};
  // 300 MiB are of no file.
  CHECK_EQ(Usable(files), 700 * kMiB);
  // Files of no disk stay.
  files["sys/fs/cgroup/a/b/memory.stat"] = "file " + Text(400) + "shmem " + Text(100);
  CHECK_EQ(Usable(files), 600 * kMiB);
  // More than it may have.
  files["sys/fs/cgroup/a/b/memory.current"] = Text(3000);
  CHECK_EQ(Usable(files), 0);
  // Less than its files: the two were read one after the other.
  files["sys/fs/cgroup/a/b/memory.current"] = Text(100);
  CHECK_EQ(Usable(files), 1000 * kMiB);
}

TEST(UsableMemory, AnAncestorsLimitCounts) {
  CHECK_EQ(Usable({{"proc/self/cgroup", "0::/a/b\n"},
                   {"sys/fs/cgroup/a/b/memory.max", "max\n"},
                   {"sys/fs/cgroup/a/memory.max", Text(500)},
                   {"sys/fs/cgroup/a/memory.current", Text(200)}}),
           300 * kMiB);
  CHECK_EQ(Usable({{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/memory.max", Text(77)}}),
           77 * kMiB);
  CHECK_EQ(Usable({{"proc/self/cgroup", "0::/a\n"}, {"sys/fs/cgroup/a/memory.max", Text(9000)}}),
           8192 * kMiB);
}

TEST(UsableMemory, GroupsOfVersion1) {
  const std::string folder = "sys/fs/cgroup/memory/docker/1/";
  Files files = {{"proc/self/cgroup", "4:cpu,memory:/docker/1\n3:pids:/x\n0::/y\n"},
                 {folder + "memory.limit_in_bytes", Text(1000)},
                 {folder + "memory.usage_in_bytes", Text(500)},
                 {folder + "memory.stat", "cache 1\ntotal_cache " + Text(200) + "total_shmem 0\n"}};
  CHECK_EQ(Usable(files), 700 * kMiB);
  files[folder + "memory.limit_in_bytes"] = "9223372036854771712\n";
  CHECK_EQ(Usable(files), 8192 * kMiB);
  // Within a container its own group is the mount's.
  files["sys/fs/cgroup/memory/memory.limit_in_bytes"] = Text(600);
  CHECK_EQ(Usable(files), 600 * kMiB);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
