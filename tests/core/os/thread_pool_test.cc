#include "core/os/thread_pool.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

ThreadPool& Pool() { return ThreadPool::Shared(); }

// Opens once. The pool's threads wait at it in these tests, which its tasks otherwise never do.
class Gate {
 public:
  void Open() { promise_.set_value(); }
  void Wait() const { open_.wait(); }

 private:
  std::promise<void> promise_;
  std::shared_future<void> open_ = promise_.get_future().share();
};

void WaitUntil(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(300);
  while (!condition()) {
    CHECK(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(ThreadPool, RunsEveryTask) {
  Pool().Grow(2);
  std::atomic<int> ran{0};
  for (int i = 0; i < 1000; ++i) Pool().Submit([&ran] { ++ran; });
  WaitUntil([&ran] { return ran == 1000; });
  CHECK(!Pool().busy());
}

TEST(ThreadPool, OneThreadTakesTasksInOrder) {
  // In a child, where the pool is new and has no more threads than are asked for.
  IN_CHILD([] {
    Pool().Grow(1);
    std::vector<int> order;
    std::promise<void> end;
    for (int i = 0; i < 100; ++i) Pool().Submit([&order, i] { order.push_back(i); });
    Pool().Submit([&end] { end.set_value(); });
    end.get_future().wait();
    for (int i = 0; i < 100; ++i) CHECK_EQ(order[static_cast<size_t>(i)], i);
  });
}

TEST(ThreadPool, IsBusyWhileTasksWait) {
  IN_CHILD([] {
    Pool().Grow(1);
    CHECK(!Pool().busy());
    Gate gate;
    std::atomic<bool> started{false};
    Pool().Submit([&] {
      started = true;
      gate.Wait();
    });
    WaitUntil([&] { return started.load(); });
    CHECK(!Pool().busy());
    std::atomic<bool> ran{false};
    Pool().Submit([&ran] { ran = true; });
    CHECK(Pool().busy());
    gate.Open();
    WaitUntil([&ran] { return ran.load(); });
    CHECK(!Pool().busy());
  });
}

TEST(ThreadPool, GrowsAndNeverShrinks) {
  IN_CHILD([] {
    Pool().Grow(3);
    Pool().Grow(1);
    Gate gate;
    std::atomic<int> started{0};
    for (int i = 0; i < 5; ++i) {
      Pool().Submit([&] {
        ++started;
        gate.Wait();
      });
    }
    WaitUntil([&] { return started == 3; });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK_EQ(started.load(), 3);
    Pool().Grow(5);
    WaitUntil([&] { return started == 5; });
    gate.Open();
  });
}

TEST(ThreadPool, LetsGoOfWhatATaskHeld) {
  Pool().Grow(1);
  const auto held = std::make_shared<int>(1);
  Pool().Submit([held] {});
  WaitUntil([&held] { return held.use_count() == 1; });
}

TEST(ThreadPool, ItsThreadsTakeNoSignalsOfTheProcess) {
  Pool().Grow(1);
  std::promise<sigset_t> promise;
  Pool().Submit([&promise] {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    promise.set_value(mask);
  });
  const sigset_t mask = promise.get_future().get();
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGALRM})
    CHECK_EQ(::sigismember(&mask, signal), 1);
  for (const int signal : {SIGBUS, SIGSEGV}) CHECK_EQ(::sigismember(&mask, signal), 0);
}

TEST(ParallelFor, CallsEveryPartOnce) {
  for (const int parts : {0, 1, 2, 3, 7, 100}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(parts));
    Pool().ParallelFor(parts, [&](int part) { ++calls[static_cast<size_t>(part)]; });
    for (const std::atomic<int>& count : calls) CHECK_EQ(count.load(), 1);
  }
}

TEST(ParallelFor, UsesSeveralThreads) {
  // Each part waits for the other: one thread alone would wait for ever.
  std::atomic<int> arrived{0};
  Pool().ParallelFor(2, [&](int) {
    ++arrived;
    WaitUntil([&] { return arrived == 2; });
  });
}

TEST(ParallelFor, RethrowsAfterAllPartsAreDone) {
  std::atomic<int> done{0};
  const auto run = [&] {
    Pool().ParallelFor(20, [&](int part) {
      ++done;
      if (part == 7) throw std::invalid_argument("part 7");
    });
    return 0;
  };
  CHECK_THROWS(run(), std::invalid_argument, "part 7");
  CHECK_EQ(done.load(), 20);
  const auto all = [] {
    ThreadPool::Shared().ParallelFor(20, [](int) { throw std::bad_alloc(); });
    return 0;
  };
  CHECK_THROWS(all(), std::bad_alloc, "");
}

TEST(ParallelFor, NeedsNoFreeThread) {
  IN_CHILD([] {
    Pool().Grow(2);
    Gate gate;
    std::atomic<int> started{0};
    for (int i = 0; i < 2; ++i) {
      Pool().Submit([&] {
        ++started;
        gate.Wait();
      });
    }
    WaitUntil([&] { return started == 2; });
    std::atomic<int> calls{0};
    Pool().ParallelFor(3, [&](int) { ++calls; });  // it grows the pool by none
    CHECK_EQ(calls.load(), 3);
    gate.Open();
  });
}

TEST(ParallelFor, Nests) {
  std::atomic<int> calls{0};
  Pool().ParallelFor(4, [&](int) { Pool().ParallelFor(4, [&](int) { ++calls; }); });
  CHECK_EQ(calls.load(), 16);
}

TEST(ParallelFor, ManyCallersAtOnce) {
  std::vector<int> sums(4, 0);
  std::vector<std::thread> callers;
  for (int& sum : sums) {
    callers.emplace_back([&sum] {
      for (int i = 0; i < 200; ++i) {
        std::atomic<int> calls{0};
        ThreadPool::Shared().ParallelFor(4, [&calls](int part) { calls += part; });
        sum += calls;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK_EQ(sums, std::vector<int>(4, 1200));
}

TEST(ThreadPool, AForkedChildHasOneOfItsOwn) {
  Pool().Grow(2);
  ThreadPool* const parents = &Pool();
  IN_CHILD([parents] {
    CHECK(&Pool() != parents);
    std::atomic<int> calls{0};
    Pool().ParallelFor(8, [&calls](int) { ++calls; });
    CHECK_EQ(calls.load(), 8);
    std::atomic<bool> ran{false};
    Pool().Grow(1);
    Pool().Submit([&ran] { ran = true; });
    WaitUntil([&ran] { return ran.load(); });
  });
  CHECK(&Pool() == parents);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
