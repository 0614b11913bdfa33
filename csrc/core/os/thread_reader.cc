#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <exception>
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
    const auto most = static_cast<size_t>(depth);
    added_.reserve(most);
    // What the threads write to is as large as it gets: they can't do anything about a lack of
    // memory.
    completed_.reserve(most);
    threads_.reserve(std::min(most, size_t{kThreads}));
    while (threads_.size() < threads_.capacity()) {
      try {
        threads_.emplace_back([this] { Run(); });
      } catch (const std::exception&) {  // of the system, or std::bad_alloc
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
    added_.push_back(request);
    ++in_flight_;
  }

  void Wait(int least, std::chrono::milliseconds timeout,
            std::vector<Completion>* completed) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    completed->reserve(completed->size() + static_cast<size_t>(in_flight_));
    const MutexLock lock(mutex_);
    requests_.insert(requests_.end(), added_.begin(), added_.end());
    for (size_t i = std::min(added_.size(), idle_); i > 0; --i) wake_.NotifyOne();
    added_.clear();
    wanted_ = least;
    while (std::ssize(completed_) < least && done_.WaitUntil(mutex_, deadline)) {
    }
    wanted_ = 0;
    in_flight_ -= static_cast<int>(completed_.size());
    completed->insert(completed->end(), completed_.begin(), completed_.end());
    completed_.clear();
  }

 private:
  void Run() {
    BeginThread("npyfast-pread");
    const MutexLock lock(mutex_);
    for (;;) {
      ++idle_;
      while (requests_.empty() && !ending_) wake_.Wait(mutex_);
      --idle_;
      if (ending_) return;
      const Request request = requests_.front();
      requests_.pop_front();
      mutex_.unlock();
      const ssize_t got = ::pread(request.descriptor, request.out,
                                  static_cast<size_t>(request.bytes), request.offset);
      const int64_t result = got < 0 ? -errno : got;
      mutex_.lock();
      completed_.push_back({request.tag, result});
      // One wake-up for all that are waited for: a change of threads costs as much as a read.
      if (std::ssize(completed_) == wanted_) done_.NotifyOne();
    }
  }

  std::vector<Request> added_;
  Mutex mutex_;
  CondVar wake_;
  CondVar done_;
  std::deque<Request> requests_ GUARDED_BY(mutex_);
  std::vector<Completion> completed_ GUARDED_BY(mutex_);
  int wanted_ GUARDED_BY(mutex_) = 0;   // completions that Wait() waits for
  size_t idle_ GUARDED_BY(mutex_) = 0;  // threads without a request
  bool ending_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeThreadReader(int depth) {
  return std::make_unique<ThreadReader>(depth);
}

}  // namespace npyfast
