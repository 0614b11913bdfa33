#include "core/os/fork.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

TEST(ForkGeneration, CountsForksDownToThisProcess) {
  const uint64_t here = ForkGeneration();
  IN_CHILD([here] {
    CHECK_EQ(ForkGeneration(), here + 1);
    IN_CHILD([here] { CHECK_EQ(ForkGeneration(), here + 2); });
    CHECK_EQ(ForkGeneration(), here + 1);
  });
  CHECK_EQ(ForkGeneration(), here);
}

// What the handlers of a test did, in order. Written without allocating, as handlers must.
char log[16] = {};
size_t logged = 0;

template <char kLetter>
void Log() {
  if (logged < sizeof log - 1) log[logged++] = kLetter;
}

// Registered in an order that is neither that of the ranks nor its reverse.
const AtFork stream(
    {.rank = ForkRank::kStream, .prepare = Log<'S'>, .parent = Log<'s'>, .child = Log<'z'>});
const AtFork os(
    {.rank = ForkRank::kOs, .prepare = Log<'O'>, .parent = Log<'o'>, .child = Log<'q'>});
const AtFork source({.rank = ForkRank::kSource, .prepare = Log<'A'>, .parent = Log<'a'>});
const AtFork second_source({.rank = ForkRank::kSource, .prepare = Log<'B'>, .child = Log<'b'>});

TEST(AtFork, RunsFromTheHighestRankDownAndBackUp) {
  logged = 0;
  IN_CHILD([] { CHECK_EQ(std::string_view(log, logged), "SBAOqbz"); });
  CHECK_EQ(std::string_view(log, logged), "SBAOoas");
}

TEST(AtFork, RegistersInAChild) {
  logged = 0;
  IN_CHILD([] {
    static const AtFork late({.rank = ForkRank::kOs, .child = Log<'l'>});
    logged = 0;
    IN_CHILD([] { CHECK_EQ(std::string_view(log, logged), "SBAOqlbz"); });
  });
  IN_CHILD([] { CHECK(std::string_view(log, logged).find('l') == std::string_view::npos); });
}

// Threads that fork at the same time wait for each other, so that each child finds what it runs
// complete.
TEST(AtFork, ServesThreadsThatForkAtOnce) {
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&failures] {
      for (int i = 0; i < 20; ++i) {
        const uint64_t here = ForkGeneration();
        const pid_t child = ::fork();
        if (child == 0) {
          ::alarm(60);
          ::_exit(ForkGeneration() == here + 1 ? 0 : 1);
        }
        int status = -1;
        if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(failures.load(), 0);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
