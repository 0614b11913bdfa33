#include "core/os/thread_pool.h"

#include <exception>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "core/os/fork.h"
#include "core/os/thread.h"

namespace npyfast {
namespace {

// Never destroyed: its threads may outlive main(), and wait on it until the process is gone.
std::atomic<ThreadPool*> shared{nullptr};

// The old pool's mutex may be held by a thread that the child does not have: leave it alone.
const AtFork at_fork({.rank = ForkRank::kOs,
                      .child = [] { shared.store(nullptr, std::memory_order_relaxed); }});

}  // namespace

ThreadPool& ThreadPool::Shared() {
  ThreadPool* pool = shared.load(std::memory_order_acquire);
  if (pool != nullptr) return *pool;
  std::unique_ptr<ThreadPool> fresh(new ThreadPool);
  if (shared.compare_exchange_strong(pool, fresh.get(), std::memory_order_acq_rel))
    return *fresh.release();
  return *pool;
}

void ThreadPool::Grow(int threads) {
  const MutexLock lock(mutex_);
  while (threads_ < threads) {
    try {
      std::thread([this] { Run(); }).detach();
    } catch (const std::exception&) {  // of the system, or std::bad_alloc
      if (threads_ > 0) return;        // fewer threads are slower, not wrong
      throw;
    }
    ++threads_;
  }
}

void ThreadPool::GrowByOne() noexcept {
  constexpr int kMost = 256;
  try {
    const MutexLock lock(mutex_);
    if (threads_ >= kMost) return;
    std::thread([this] { Run(); }).detach();
    ++threads_;
  } catch (const std::exception&) {
  }
}

void ThreadPool::Submit(std::function<void()> task) {
  {
    const MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
    waiting_.fetch_add(1, std::memory_order_relaxed);
  }
  wake_.NotifyOne();
}

void ThreadPool::Run() {
  BeginThread("npyfast");
  MutexLock lock(mutex_);
  for (;;) {
    while (tasks_.empty()) wake_.Wait(mutex_);
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    lock.Unlock();
    task();
    task = nullptr;  // releases what it holds, and not under the lock
    lock.Lock();
  }
}

void ThreadPool::ParallelFor(int parts, const std::function<void(int)>& body) {
  struct Shared {
    const std::function<void(int)>* body;
    int parts;
    std::atomic<int> next{0};
    Mutex mutex;
    CondVar all_done;
    int done GUARDED_BY(mutex) = 0;
    std::exception_ptr error GUARDED_BY(mutex);

    void Work() {
      for (int part; (part = next.fetch_add(1)) < parts;) {
        std::exception_ptr failure;
        try {
          (*body)(part);
        } catch (...) {
          failure = std::current_exception();
        }
        const MutexLock lock(mutex);
        if (failure && !error) error = std::move(failure);
        if (++done == parts) all_done.NotifyAll();
      }
    }
  };
  // Shared, because a thread may start its task only after the caller has done all parts and
  // returned.
  const auto state = std::make_shared<Shared>();
  state->body = &body;
  state->parts = parts;
  try {
    Grow(parts - 1);
    for (int i = 1; i < parts; ++i) Submit([state] { state->Work(); });
  } catch (const std::exception&) {  // no thread or no memory: the caller does it all
  }
  state->Work();
  const MutexLock lock(state->mutex);
  while (state->done != state->parts) state->all_done.Wait(state->mutex);
  // Moved: a late task may hold the state, but never the exception that the caller handles.
  if (state->error) std::rethrow_exception(std::move(state->error));
}

}  // namespace npyfast
