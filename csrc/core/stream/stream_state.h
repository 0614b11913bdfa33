#ifndef NPYFAST_CORE_STREAM_STREAM_STATE_H_
#define NPYFAST_CORE_STREAM_STREAM_STATE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "core/os/mutex.h"
#include "core/source/array.h"
#include "core/stream/claims.h"
#include "core/stream/item_maker.h"
#include "core/stream/stream_options.h"

namespace npyfast {

// What the readers of a stream share with the tasks that make its items.
//
// A task has a reference of its own, so that it may outlive the stream, but touches neither sources
// nor batches once the stream is closed and Discard() has returned. Invariants:
// - `running` tasks are the begun ones among the `active` tasks and the check of the files.
// - Whenever there is something to make, tasks are active, or the reader will start some, or makes
//   items itself.
// - Items are made, and files are checked, without the mutex.
// Thread-safe.
class StreamState : public std::enable_shared_from_this<StreamState> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // For items from this one on. *closed becomes true once and for all when the stream ends.
  StreamState(const std::shared_ptr<const BatchBuilder>& builder, const StreamOptions& options,
              int64_t first_item, std::shared_ptr<const std::atomic<bool>> closed);

  // The most items that are made ahead.
  int64_t ahead() const { return ahead_; }

  // Has tasks begin to make items.
  void Start();

  enum class Taken { kClaim, kEnd, kNotYet, kNoMemory };
  // Takes the oldest claim, when it is done; makes items itself until then if that waits for no
  // disk. *waited: whether it was not done yet. kNoMemory takes the place of one item.
  Taken Take(TimePoint deadline, std::unique_ptr<Claim>* claim, bool* waited);

  // Looks at the files of arrays; *changed is the error of one that was changed, or null. Returns
  // false if that takes longer than `deadline`. Several readers share one look.
  bool CheckFiles(const std::vector<std::shared_ptr<const Array>>& files, TimePoint deadline,
                  std::exception_ptr* changed);

  // Wakes all who wait. REQUIRES, here and below: the stream is closed.
  void Wake();
  // Waits until nothing is made any more, and releases batches and sources. Where only files are
  // read, not for long: their tasks then release them.
  void Discard();

  // Batches that are made and not delivered: adds to them, or forgets them all.
  void CountReady(int64_t batches);
  void ForgetReady() { CountReady(-ready_.load(std::memory_order_relaxed)); }

 private:
  bool closed() const { return closed_->load(); }

  // Whether a reader makes items, too. Not if it might have to wait for a disk or copy for long,
  // and could not look at its deadline. Without other threads it must.
  bool ReaderHelps() const;
  // Whether it does so now: if nobody else does, anyway.
  bool ReaderMakes() REQUIRES(mutex_);
  // How many tasks may be at work. A reader that helps is one of the threads; but somebody has to
  // work while it does something else.
  int Workers() const;

  // A part that the caller is to make; none if there is none now. Throws std::bad_alloc if there is
  // no memory for a claim, and has then changed nothing.
  ClaimQueue::Part TryClaim() REQUIRES(mutex_);
  // Makes a part, without the mutex meanwhile.
  void Make(const ClaimQueue::Part& part) REQUIRES(mutex_);
  void StartWorkers() noexcept REQUIRES(mutex_);
  // Waits for any change; returns false at the deadline. If tasks wait for threads that are stuck
  // with other streams, there will be more threads.
  bool Wait(TimePoint deadline) REQUIRES(mutex_);
  // Whether tasks wait for a thread, and none of them runs.
  bool Stuck() const REQUIRES(mutex_) { return running_ == 0 && (active_ > 0 || checking_); }
  void EndTask() noexcept REQUIRES(mutex_);
  // Has a task look at the files, as that may take long; or looks itself if there is no thread.
  void StartCheck(const std::vector<std::shared_ptr<const Array>>& files) REQUIRES(mutex_);

  // The tasks.
  void Work() noexcept;
  void Check(const std::vector<std::shared_ptr<const Array>>& files) noexcept;

  const std::shared_ptr<const std::atomic<bool>> closed_;
  const std::shared_ptr<Statistics> statistics_;
  const bool reads_memory_;  // which answers at once, and which its owner may change afterwards
  std::unique_ptr<const ItemMaker> maker_;  // until Discard()
  const int cpus_;                          // that this process may use
  const int threads_;
  const int64_t ahead_;
  bool no_threads_ = false;  // could be started
  std::atomic<int64_t> ready_{0};

  Mutex mutex_;
  CondVar changed_;
  ClaimQueue claims_ GUARDED_BY(mutex_);
  int active_ GUARDED_BY(mutex_) = 0;         // tasks submitted to make items, and not yet ended
  int running_ GUARDED_BY(mutex_) = 0;        // tasks of any kind begun and not yet ended
  bool checking_ GUARDED_BY(mutex_) = false;  // somebody looks at the files, or is about to
  std::exception_ptr changed_files_ GUARDED_BY(mutex_);
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_STREAM_STATE_H_
