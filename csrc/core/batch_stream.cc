#include "core/batch_stream.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

#include "core/fork.h"
#include "core/thread_pool.h"

namespace npyfast {
namespace {

using Clock = std::chrono::steady_clock;

// Items are claimed in runs that take about this long to make: long enough that locks and wake-ups
// do not count, short enough that nobody waits for the rest of a run when its first item is ready.
constexpr auto kShortClaim = std::chrono::microseconds(50);
constexpr auto kLongClaim = std::chrono::microseconds(200);

// Held while a stream starts over in a forked child, which may have several readers by then.
std::mutex rebuilding;

[[maybe_unused]] const int registered =
    ::pthread_atfork([] { rebuilding.lock(); }, [] { rebuilding.unlock(); },
                     [] { rebuilding.unlock(); });

int64_t AheadItems(const BatchMaker& maker, const BatchStream::Options& options) {
  const int64_t by_memory = options.ahead_bytes / std::max<int64_t>(maker.item_bytes(), 1);
  return std::clamp<int64_t>(by_memory, options.threads + 1,
                             std::max<int64_t>(options.ahead_items, options.threads + 1));
}

}  // namespace

// Consecutive items that one thread makes. Touched by that thread alone until `done`.
struct BatchStream::Claim {
  int64_t first = 0;
  int64_t count = 0;
  std::vector<Batch> items;
  size_t delivered = 0;
  std::exception_ptr error;  // of the item behind the last one in `items`
  bool done = false;
};

// What readers and workers share. A worker's task holds a reference of its own.
struct BatchStream::State {
  std::shared_ptr<const BatchMaker> maker;
  int64_t ahead;
  int workers;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::unique_ptr<Claim>> claims;  // in order; the front one is delivered next
  int64_t next_item = 0;
  int64_t claim_items = 1;  // small at first, so that the first batch is there soon
  int active = 0;           // tasks submitted and not yet ended
  bool failed = false;
  std::atomic<bool> cancelled{false};

  bool AllClaimed() const { return maker->items() >= 0 && next_item >= maker->items(); }

  // REQUIRES: mutex held. Null if nothing may be made now.
  Claim* TryClaim() {
    if (cancelled || failed) return nullptr;
    const int64_t undelivered = claims.empty() ? 0 : next_item - claims.front()->first;
    int64_t count = std::min(claim_items, ahead - undelivered);
    if (maker->items() >= 0) count = std::min(count, maker->items() - next_item);
    if (count <= 0) return nullptr;
    claims.push_back(std::make_unique<Claim>());
    Claim* claim = claims.back().get();
    claim->first = next_item;
    claim->count = count;
    next_item += count;
    return claim;
  }

  // Makes the items of a claim. Called and left with `lock` held, which is let go meanwhile.
  void Fill(Claim* claim, std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    const auto begin = Clock::now();
    try {
      claim->items.reserve(static_cast<size_t>(claim->count));
      // Acquire: whoever takes a claim that was cut short sees that the stream is closed.
      for (int64_t i = 0; i < claim->count && !cancelled.load(std::memory_order_acquire); ++i)
        claim->items.push_back(maker->Make(claim->first + i));
    } catch (...) {
      claim->error = std::current_exception();
    }
    const auto spent = Clock::now() - begin;
    lock.lock();
    claim->done = true;
    if (claim->error) failed = true;
    if (claim->count == claim_items) {
      if (spent < kShortClaim)
        claim_items = std::min(2 * claim_items, std::max<int64_t>(ahead / 8, 1));
      if (spent > kLongClaim) claim_items = std::max<int64_t>(claim_items / 2, 1);
    }
    changed.notify_all();
  }

  // REQUIRES: mutex held.
  void StartWorkers(const std::shared_ptr<State>& self) noexcept {
    const bool room = claims.empty() || next_item - claims.front()->first < ahead;
    if (cancelled || failed || AllClaimed() || !room) return;
    try {
      while (active < workers) {
        ThreadPool::Shared().Submit([self] { self->Work(self); });
        ++active;  // in time: the task needs the mutex to count itself out
      }
    } catch (const std::bad_alloc&) {  // then the reader makes the items itself
    }
  }

  void Work(const std::shared_ptr<State>& self) noexcept {
    std::unique_lock lock(mutex);
    try {
      while (Claim* claim = TryClaim()) {
        Fill(claim, lock);
        if (ThreadPool::Shared().busy()) {
          // Another stream waits for a thread: go to the end of the queue.
          ThreadPool::Shared().Submit([self] { self->Work(self); });
          return;
        }
      }
    } catch (const std::bad_alloc&) {  // of a claim or a task: the reader will come to it and tell
    }
    --active;
    changed.notify_all();
  }
};

BatchStream::BatchStream(std::shared_ptr<const BatchMaker> maker, const Options& options)
    : maker_(std::move(maker)),
      options_(options),
      state_(NewState(0)),
      generation_(ForkGeneration()) {
  BufferPool::Shared().Reserve(state_->ahead * maker_->item_bytes());
  const std::lock_guard lock(state_->mutex);
  state_->StartWorkers(state_);
}

BatchStream::~BatchStream() {
  Close();
  BufferPool::Shared().Reserve(-state_->ahead * maker_->item_bytes());
  if (generation_ == ForkGeneration()) {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->active == 0; });
  } else {
    // Its threads, and whatever they had locked or half done, stayed in the parent.
    static_cast<void>(current_.release());
    new std::shared_ptr<State>(std::move(state_));
  }
}

std::shared_ptr<BatchStream::State> BatchStream::NewState(int64_t first_item) const {
  auto state = std::make_shared<State>();
  state->maker = maker_;
  state->ahead = AheadItems(*maker_, options_);
  state->next_item = first_item;
  // The reader is one of the threads; but somebody has to work while it does something else.
  state->workers = std::max(options_.threads - 1, 1);
  try {
    ThreadPool::Shared().Grow(state->workers);
  } catch (const std::system_error&) {
    state->workers = 0;  // no thread to be had: the reader makes all items itself
  }
  return state;
}

void BatchStream::RebuildAfterFork() {
  const std::lock_guard rebuild(rebuilding);
  if (generation_ == ForkGeneration()) return;  // another reader was first
  std::shared_ptr<State> fresh = NewState(position());
  {
    const std::lock_guard lock(fresh->mutex);
    fresh->StartWorkers(fresh);
  }
  // Nobody uses these before they are the child's own: the parent's threads, and whatever they had
  // locked or half done, stayed there.
  new (&reader_) std::mutex;
  static_cast<void>(current_.release());
  new std::shared_ptr<State>(std::move(state_));
  state_ = std::move(fresh);
  generation_ = ForkGeneration();
}

int64_t BatchStream::position() const { return position_.load(std::memory_order_relaxed); }

void BatchStream::Close() {
  closed_ = true;
  if (generation_ != ForkGeneration()) return;  // nobody works, and state_ may be about to change
  state_->cancelled = true;
  const std::lock_guard lock(state_->mutex);
  state_->changed.notify_all();
}

BatchStream::Result BatchStream::TakeReady(Batch* item) {
  if (current_->delivered < current_->items.size()) {
    *item = std::move(current_->items[current_->delivered++]);
    position_.fetch_add(1, std::memory_order_relaxed);
    return Result::kItem;
  }
  if (current_->error) std::rethrow_exception(current_->error);
  current_ = nullptr;
  return Result::kNotYet;
}

BatchStream::Result BatchStream::TryNext(Batch* item) {
  if (generation_ != ForkGeneration()) return Result::kNotYet;
  const std::unique_lock reading(reader_, std::try_to_lock);
  if (!reading.owns_lock()) return Result::kNotYet;
  if (closed_) return Result::kEnd;
  return current_ == nullptr ? Result::kNotYet : TakeReady(item);
}

BatchStream::Result BatchStream::Next(Batch* item, std::chrono::milliseconds timeout) {
  if (closed_) return Result::kEnd;
  if (generation_ != ForkGeneration()) RebuildAfterFork();
  const auto deadline = Clock::now() + timeout;
  const std::lock_guard reading(reader_);
  for (;;) {
    if (closed_) return Result::kEnd;
    if (current_ != nullptr && TakeReady(item) == Result::kItem) return Result::kItem;
    std::unique_lock lock(state_->mutex);
    State& state = *state_;
    // Again, now that Close() can't wake anybody up unseen.
    if (state.cancelled) return Result::kEnd;
    if (!state.claims.empty() && state.claims.front()->done) {
      current_ = std::move(state.claims.front());
      state.claims.pop_front();
      state.StartWorkers(state_);
    } else if (state.claims.empty() && state.AllClaimed()) {
      return Result::kEnd;
    } else if (Claim* claim = state.TryClaim()) {
      state.Fill(claim, lock);
    } else if (state.changed.wait_until(lock, deadline) == std::cv_status::timeout) {
      return Result::kNotYet;
    }
  }
}

}  // namespace npyfast
