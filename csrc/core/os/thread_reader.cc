#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <system_error>
#include <thread>

#include "core/os/async_reader.h"
#include "core/os/mutex.h"
#include "core/os/thread.h"

namespace npyfast {
namespace {

// Reads that wait for a disk take no CPU, but each thread takes memory and changes of context.
constexpr int kThreads = 32;

class ThreadReader : public AsyncReader {
 public:
  explicit ThreadReader(int depth) : AsyncReader(depth) {
    for (int i = 0; i < std::min(depth, kThreads); ++i) {
      try {
        threads_.emplace_back([this] { Run(); });
      } catch (const std::system_error&) {
        if (threads_.empty()) throw;
        break;
      }
    }
  }

  ~ThreadReader() override {
    {
      const MutexLock lock(mutex_);
      ending_ = true;
    }
    wake_.NotifyAll();
    for (std::thread& thread : threads_) thread.join();
  }

  ReadMethod method() const override { return ReadMethod::kThreads; }

  void Add(const Request& request) override {
    {
      const MutexLock lock(mutex_);
      requests_.push_back(request);
    }
    wake_.NotifyOne();
    ++in_flight_;
  }

  void Wait(int least, std::chrono::milliseconds timeout,
            std::vector<Completion>* completed) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    const MutexLock lock(mutex_);
    while (std::ssize(completed_) < least && done_.WaitUntil(mutex_, deadline)) {
    }
    in_flight_ -= static_cast<int>(completed_.size());
    completed->insert(completed->end(), completed_.begin(), completed_.end());
    completed_.clear();
  }

 private:
  void Run() {
    BeginThread("npyfast-pread");
    const MutexLock lock(mutex_);
    for (;;) {
      while (requests_.empty() && !ending_) wake_.Wait(mutex_);
      if (requests_.empty()) return;
      const Request request = requests_.front();
      requests_.pop_front();
      mutex_.unlock();
      const ssize_t got = ::pread(request.descriptor, request.out,
                                  static_cast<size_t>(request.bytes), request.offset);
      const int64_t result = got < 0 ? -errno : got;
      mutex_.lock();
      completed_.push_back({request.tag, result});
      done_.NotifyOne();
    }
  }

  Mutex mutex_;
  CondVar wake_;
  CondVar done_;
  std::deque<Request> requests_ GUARDED_BY(mutex_);
  std::vector<Completion> completed_ GUARDED_BY(mutex_);
  bool ending_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeThreadReader(int depth) {
  return std::make_unique<ThreadReader>(depth);
}

}  // namespace npyfast
