#include "core/os/cpus.h"

#include <sched.h>

#include <thread>
#include <vector>

#include "tests/core/support/check.h"

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

}  // namespace
}  // namespace npyfast

TEST_MAIN()
