#ifndef NPYFAST_CORE_OS_THREAD_POOL_H_
#define NPYFAST_CORE_OS_THREAD_POOL_H_

#include <atomic>
#include <deque>
#include <functional>

#include "core/os/mutex.h"

namespace npyfast {

// Threads that run short tasks, first come, first served.
//
// One pool serves the whole process: streams come and go with every epoch, threads stay.
// Thread-safe.
class ThreadPool {
 public:
  // The process's pool. In a forked child a new one: its parent's threads did not come along.
  static ThreadPool& Shared();

  // Starts threads until there are `threads`. Throws std::system_error or std::bad_alloc if not
  // even one can be started.
  void Grow(int threads);

  // Starts one more thread, for tasks that wait because others are stuck on an unresponsive disk.
  // Does nothing if there are very many already or the system refuses.
  void GrowByOne() noexcept;

  // Runs `task` later. REQUIRES: Grow(1) or more; the task throws nothing and waits for no other.
  void Submit(std::function<void()> task);

  // Whether tasks wait for a thread: a long-running task then makes room for them.
  bool busy() const { return waiting_.load(std::memory_order_relaxed) > 0; }

  // Calls body(0) ... body(parts - 1), on the caller and on idle threads; returns when all are
  // done. Rethrows the first exception of `body`. REQUIRES: parts >= 0.
  void ParallelFor(int parts, const std::function<void(int)>& body);

 private:
  ThreadPool() = default;
  void Run();

  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::atomic<int> waiting_{0};
  int threads_ GUARDED_BY(mutex_) = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_THREAD_POOL_H_
