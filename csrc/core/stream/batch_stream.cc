#include "core/stream/batch_stream.h"

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

#include "core/os/buffer_pool.h"
#include "core/os/fork.h"
#include "core/os/sigbus_guard.h"
#include "core/os/thread.h"
#include "core/stream/claims.h"
#include "core/stream/stream_state.h"

namespace npyfast {
namespace {

using Clock = std::chrono::steady_clock;

// Held while a stream starts over in a forked child, which may have several readers by then.
Mutex rebuilding;

const AtFork at_fork(ForkRank::kStream, rebuilding);

// Drops a reference without releasing it: its object is never destroyed.
template <typename T>
void Abandon(std::shared_ptr<T> reference) noexcept {
  alignas(std::shared_ptr<T>) std::byte grave[sizeof reference];
  new (grave) std::shared_ptr<T>(std::move(reference));
}

}  // namespace

BatchStream::BatchStream(std::shared_ptr<const BatchBuilder> maker, const Options& options)
    : maker_(std::move(maker)),
      options_(options),
      row_bytes_(maker_->row_bytes()),
      closed_(std::make_shared<std::atomic<bool>>(false)),
      state_(NewState(0)),
      generation_(ForkGeneration()) {
  PrepareForErrors();
  InstallGuard();
  for (const auto& leaf : maker_->leaves()) {
    const auto& array = leaf->array();
    if (array->file_bytes() > 0 && std::find(files_.begin(), files_.end(), array) == files_.end())
      files_.push_back(array);
  }
  checked_ = files_.empty();
  BufferPool::Shared().Reserve(state_->ahead() * maker_->item_bytes());
  state_->Start();
}

BatchStream::~BatchStream() {
  Close();
  BufferPool::Shared().Reserve(-state_->ahead() * maker_->item_bytes());
  if (generation_ == ForkGeneration()) {
    state_->Discard();
  } else {
    AbandonState();
  }
}

std::shared_ptr<StreamState> BatchStream::NewState(int64_t first_item) const {
  return std::make_shared<StreamState>(maker_, options_, first_item, closed_);
}

void BatchStream::AbandonState() {
  static_cast<void>(current_.release());
  state_->ForgetReady();
  Abandon(std::move(state_));
}

void BatchStream::RebuildAfterFork() {
  const uint64_t now = ForkGeneration();
  // Before the lock, for which fork() waits: this looks at files.
  std::shared_ptr<StreamState> fresh = NewState(position());
  MutexLock rebuild(rebuilding);
  if (generation_ == now) {  // another reader was first
    rebuild.Unlock();        // before it waits for readahead
    fresh = nullptr;
    return;
  }
  new (&reader_) Mutex;  // which a thread of the parent may have held
  AbandonState();
  state_ = std::move(fresh);
  generation_ = now;
  state_->Start();
}

void BatchStream::Close() {
  *closed_ = true;
  // In a forked child nobody waits, and state_ may be about to change.
  if (generation_ == ForkGeneration()) state_->Wake();
}

BatchStream::Result BatchStream::TakeReady(Batch* item, const std::exception_ptr& changed) {
  if (!current_->HasNext()) {
    current_ = nullptr;
    return Result::kNotYet;
  }
  Outcome& outcome = current_->Next();
  if (changed && !outcome.error) [[unlikely]] {
    state_->CountReady(-outcome.batch.batches);
    outcome = {{}, changed, outcome.last};
  }
  if (outcome.last) position_.fetch_add(1, std::memory_order_relaxed);
  // Moved, so that the thread that catches it is its last owner.
  if (outcome.error) [[unlikely]]
    std::rethrow_exception(std::move(outcome.error));
  *item = std::move(outcome.batch);
  Count(*item);
  return Result::kItem;
}

void BatchStream::Count(const Batch& item) const {
  const int64_t batches = item.batches;
  Statistics& statistics = *options_.statistics;
  state_->CountReady(-batches);
  statistics.batches.fetch_add(batches, std::memory_order_relaxed);
  statistics.rows.fetch_add(item.rows, std::memory_order_relaxed);
  statistics.bytes.fetch_add(item.rows * row_bytes_, std::memory_order_relaxed);
}

BatchStream::Result BatchStream::TryNext(Batch* item) {
  if (generation_ != ForkGeneration()) return Result::kNotYet;
  if (!reader_.try_lock()) return Result::kNotYet;
  const MutexLock reading(reader_, std::adopt_lock);
  if (closed()) return Result::kEnd;
  return current_ == nullptr || CheckIsDue() ? Result::kNotYet : TakeReady(item);
}

bool BatchStream::CheckIsDue() const {
  if (files_.empty()) return false;
  const int64_t now = Array::CheckClock();
  return !checked_ || std::any_of(files_.begin(), files_.end(),
                                  [now](const auto& array) { return array->CheckIsDue(now); });
}

bool BatchStream::CheckFiles(TimePoint deadline, std::exception_ptr* changed) {
  if (!CheckIsDue()) return true;
  if (!state_->CheckFiles(files_, deadline, changed)) return false;
  if (!*changed) checked_ = true;
  return true;
}

BatchStream::Result BatchStream::Next(Batch* item, std::chrono::milliseconds timeout) {
  if (closed()) return Result::kEnd;
  if (generation_ != ForkGeneration()) RebuildAfterFork();
  const auto begin = Clock::now();
  options_.statistics->Begin(begin);
  // A day at most, or the sum might overflow.
  const auto deadline =
      begin + std::min<std::chrono::milliseconds>(timeout, std::chrono::hours(24));
  // What is made here, or by another thread meanwhile, is waited for.
  const auto count_wait = [this, begin](int64_t times) {
    const std::chrono::nanoseconds spent = Clock::now() - begin;
    options_.statistics->waits.fetch_add(times, std::memory_order_relaxed);
    options_.statistics->wait_ns.fetch_add(spent.count(), std::memory_order_relaxed);
  };
  bool waited = false;
  const MutexLock reading(reader_);
  for (;;) {
    if (closed()) return Result::kEnd;
    if (current_ != nullptr) {
      std::exception_ptr changed;
      if (current_->HasNext() && !CheckFiles(deadline, &changed)) return Result::kNotYet;
      if (closed()) return Result::kEnd;
      if (TakeReady(item, changed) == Result::kItem) {
        if (waited) count_wait(1);
        return Result::kItem;
      }
    }
    switch (state_->Take(deadline, &current_, &waited)) {
      case StreamState::Taken::kClaim:
        break;
      case StreamState::Taken::kEnd:
        return Result::kEnd;
      case StreamState::Taken::kNotYet:
        count_wait(0);
        return Result::kNotYet;
      case StreamState::Taken::kNoMemory:
        position_.fetch_add(1, std::memory_order_relaxed);
        throw std::bad_alloc();
    }
  }
}

}  // namespace npyfast
