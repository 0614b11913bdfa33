#include "core/stream/batch_stream.h"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

#include "core/os/fork.h"
#include "core/os/sigbus_guard.h"
#include "core/os/thread.h"
#include "core/os/thread_pool.h"
#include "core/stream/reading_of.h"

namespace npyfast {
namespace {

using Clock = std::chrono::steady_clock;

// Items are claimed in runs that take about this long to make: long enough that locks and wake-ups
// do not count, short enough that nobody waits for the rest of a run when its first item is ready.
constexpr auto kShortClaim = std::chrono::microseconds(20);
constexpr auto kLongClaim = std::chrono::microseconds(80);

// From here on a reader that copied an item itself would not look at its deadline for too long.
constexpr int64_t kLargeItem = 64 << 20;

// Rows that are copied from one look at whether to stop to the next where each may wait for a disk.
constexpr int64_t kRowsThatWait = 16;

// Threads of the pool that do not come in this time are stuck with other streams.
constexpr auto kThreadsComeWithin = std::chrono::milliseconds(20);

// What is waited for files at the end.
constexpr auto kFilesAnswerWithin = std::chrono::milliseconds(100);

// Held while a stream starts over in a forked child, which may have several readers by then.
Mutex rebuilding;

const AtFork at_fork(ForkRank::kStream, rebuilding);

// Lets go of a reference without giving it back: what it keeps is never destroyed.
template <typename T>
void Abandon(std::shared_ptr<T> reference) noexcept {
  alignas(std::shared_ptr<T>) std::byte grave[sizeof reference];
  new (grave) std::shared_ptr<T>(std::move(reference));
}

int64_t AheadItems(const BatchBuilder& maker, const BatchStream::Options& options) {
  const int64_t by_memory = options.ahead_bytes / std::max<int64_t>(maker.item_bytes(), 1);
  // Enough for all threads to be at work while the reader has one.
  const int64_t least = maker.Parts(options.threads) > 1 ? 2 : options.threads + 1;
  return std::clamp(by_memory, least, std::max(options.ahead_items, least));
}

// Whether a stream reads memory, which answers at once, and which its owner may change or unmap as
// soon as the stream has ended.
bool ReadsMemory(const BatchBuilder& maker) {
  const auto is_memory = [](const std::shared_ptr<const Gather>& leaf) {
    return leaf->array()->file_bytes() == 0 && leaf->array()->row_files() == nullptr;
  };
  return std::any_of(maker.leaves().begin(), maker.leaves().end(), is_memory);
}

}  // namespace

// What became of an item, or of one of its batches where some of them could not be made.
struct BatchStream::Outcome {
  Batch batch;
  std::exception_ptr error = nullptr;  // instead of it
  bool last = true;                    // of its item
};

// Consecutive items that one thread makes, or a single large one that several make part by part.
// Its outcomes are touched by the thread that makes them alone, until all parts are done.
struct BatchStream::Claim {
  int64_t first = 0;
  int64_t count = 0;
  int parts = 1;
  int parts_claimed = 0;
  int parts_done = 0;
  std::vector<Outcome> outcomes;
  size_t delivered = 0;
  std::exception_ptr error = nullptr;  // of a part; guarded by the state's mutex

  bool done() const { return parts_done == parts; }
};

// What readers and workers share. A worker's task holds a reference of its own.
struct BatchStream::State {
  std::shared_ptr<const BatchBuilder> maker;
  int64_t ahead;
  int threads;
  bool no_threads = false;  // can be had
  int parts;                // of each item
  bool resident = true;     // all rows were in memory when the stream began
  bool waits_at_end;

  std::shared_ptr<Statistics> statistics;
  Readahead::Handle readahead;    // may be null
  std::atomic<int64_t> ready{0};  // batches that are made and not yet delivered

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::unique_ptr<Claim>> claims;  // in order; the front one is delivered next
  int64_t next_item = 0;
  int64_t claim_items = 1;  // small at first, so that the first batch is there soon
  int active = 0;           // tasks submitted and not yet ended
  int running = 0;          // begun and not yet ended, with any task
  bool checking = false;    // somebody looks at the files, or is about to
  std::exception_ptr changed_files;
  std::atomic<bool> cancelled{false};

  // Whether a reader makes items, too: not where it could be stuck with a disk, deaf to its
  // deadline. Without other threads it must.
  bool ReaderHelps() const {
    if (no_threads) return true;
    return (readahead != nullptr ? readahead->loaded() : resident) &&
           maker->item_bytes() <= kLargeItem;
  }
  // How many others are at work at once. A reader that helps is one of the threads; but somebody
  // has to work while it does something else.
  int Workers() const {
    return no_threads ? 0 : ReaderHelps() ? std::max(threads - 1, 1) : threads;
  }
  Stop WhetherToStop() const {
    return resident ? Stop{&cancelled} : Stop{&cancelled, kRowsThatWait};
  }

  bool AllClaimed() const { return maker->items() >= 0 && next_item >= maker->items(); }

  // Items that may be claimed now. REQUIRES, here and below: mutex held.
  int64_t Claimable() const {
    const int64_t undelivered = claims.empty() ? 0 : next_item - claims.front()->first;
    const int64_t room = ahead - undelivered;
    return maker->items() < 0 ? room : std::min(room, maker->items() - next_item);
  }
  // Whether there is room for so many items, or for all that are left.
  bool HasRoomFor(int64_t items) const {
    const int64_t room = Claimable();
    return room > 0 && (room >= items || room == maker->items() - next_item);
  }
  // Whether a worker should go on. Not with the first item that there is room for: as many fit in
  // as are taken out, so that claims once small would stay small for ever.
  bool WorthClaiming() const { return HasRoomFor(claim_items); }
  // Whether workers should begin: not before half of what lay ahead has been read, because to wake
  // them up costs the reader more than to make some small items.
  bool WorthWaking() const { return HasRoomFor(std::max(claim_items, ahead / 2)); }

  // Whether the newest claim has parts that nobody makes yet.
  bool PartsLeft() const {
    return !claims.empty() && claims.back()->parts_claimed < claims.back()->parts;
  }

  // A part of a claim that the caller is to make. Null if there is none now. Throws std::bad_alloc
  // where there is no memory for a claim, which leaves everything as it was.
  Claim* TryClaim() {
    for (;;) {
      if (cancelled) return nullptr;
      if (PartsLeft()) {
        ++claims.back()->parts_claimed;
        return claims.back().get();
      }
      const int64_t count = std::min(claim_items, Claimable());
      if (count <= 0) return nullptr;
      auto claim = std::make_unique<Claim>();
      claim->first = next_item;
      claim->count = count;
      claim->parts = parts;
      claim->parts_claimed = 1;
      claim->outcomes.reserve(static_cast<size_t>(count));
      const bool allocated = parts == 1 || Allocate(*claim);
      claims.push_back(std::move(claim));
      next_item += count;
      if (readahead != nullptr) readahead->Reached(next_item, claims.front()->first);
      if (allocated) return claims.back().get();
    }
  }

  // Memory for an item, before any part of it is made: all threads must find it. Where there is
  // none the claim is done, and has the error.
  bool Allocate(Claim& claim) const {
    try {
      claim.outcomes.push_back({maker->Allocate(claim.first)});
      return true;
    } catch (const std::bad_alloc&) {
      claim.outcomes.push_back({{}, std::current_exception()});
      claim.parts = claim.parts_claimed = 0;
      return false;
    }
  }

  // Makes the part of a claim that TryClaim() has just given. Called and left with `lock` held,
  // which is let go meanwhile.
  void Fill(Claim* claim, std::unique_lock<std::mutex>& lock) {
    const int part = claim->parts_claimed - 1;
    lock.unlock();
    InstallGuard();  // others may have taken the signal since the last claim
    const auto begin = Clock::now();
    std::exception_ptr error;
    if (parts == 1) {
      MakeItems(*claim);
    } else {
      try {
        if (readahead != nullptr) readahead->Await(claim->first);
        maker->Fill(claim->first, part, parts, claim->outcomes[0].batch, WhetherToStop());
      } catch (...) {
        error = std::current_exception();
      }
    }
    const auto spent = Clock::now() - begin;
    lock.lock();
    if (error) {
      if (!claim->error) claim->error = std::move(error);
      claim->parts = claim->parts_claimed;  // nobody will claim the others
    }
    if (claim->error && claim->parts_done + 1 == claim->parts) {
      lock.unlock();
      claim->outcomes.clear();
      TakeApart(claim->first, std::move(claim->error), &claim->outcomes);
      lock.lock();
    }
    ++claim->parts_done;
    if (claim->done()) {
      for (const Outcome& outcome : claim->outcomes)
        if (!outcome.error) CountReady(outcome.batch.batches);
    }
    if (parts == 1 && claim->count == claim_items) {
      if (spent < kShortClaim)
        claim_items = std::min(2 * claim_items, std::max<int64_t>(ahead / 8, 1));
      if (spent > kLongClaim) claim_items = std::max<int64_t>(claim_items / 2, 1);
    }
    changed.notify_all();
  }

  void MakeItems(Claim& claim) const {
    PostponedChecks checks;
    // Acquire: whoever takes a claim that was cut short sees that the stream is closed.
    for (int64_t i = 0; i < claim.count && !cancelled.load(std::memory_order_acquire); ++i) {
      const int64_t item = claim.first + i;
      try {
        if (readahead != nullptr) readahead->Await(item);
        claim.outcomes.push_back({maker->Make(item, WhetherToStop())});
      } catch (...) {
        TakeApart(item, std::current_exception(), &claim.outcomes);
      }
    }
    try {
      checks.Check();
    } catch (...) {
      for (Outcome& outcome : claim.outcomes) {
        if (outcome.error) continue;
        outcome.batch = {};
        outcome.error = std::current_exception();
      }
    }
  }

  // The outcomes of an item that could not be made as one: of each of its batches, where it is
  // several.
  void TakeApart(int64_t item, std::exception_ptr error, std::vector<Outcome>* outcomes) const {
    const int64_t batches = maker->item_plan().At(item).batches;
    try {
      // Room for the rest of the claim as well, which must not fail for want of it.
      if (batches > 1) outcomes->reserve(outcomes->capacity() + static_cast<size_t>(batches) - 1);
    } catch (const std::bad_alloc&) {
      outcomes->push_back({{}, std::move(error)});
      return;
    }
    for (int64_t i = 0; i < batches && !cancelled.load(std::memory_order_acquire); ++i) {
      const bool last = i + 1 == batches;
      try {
        if (batches > 1) {
          outcomes->push_back({maker->MakeBatch(item, i, WhetherToStop()), nullptr, last});
        } else {
          outcomes->push_back({{}, std::move(error)});
        }
      } catch (...) {
        outcomes->push_back({{}, std::current_exception(), last});
      }
    }
  }

  void CountReady(int64_t batches) {
    ready.fetch_add(batches, std::memory_order_relaxed);
    statistics->batches_ahead.fetch_add(batches, std::memory_order_relaxed);
  }

  void StartWorkers(const std::shared_ptr<State>& self) noexcept {
    if (cancelled || !(WorthWaking() || PartsLeft())) return;
    try {
      while (active < Workers()) {
        ThreadPool::Shared().Submit([self] { self->Work(self); });
        ++active;  // in time: the task needs the mutex to count itself out
      }
    } catch (const std::bad_alloc&) {  // then the reader makes the items itself
    }
  }

  void Work(const std::shared_ptr<State>& self) noexcept {
    std::unique_lock lock(mutex);
    ++running;
    try {
      while (!cancelled && (WorthClaiming() || PartsLeft())) {
        Claim* claim = TryClaim();
        if (claim == nullptr) break;
        Fill(claim, lock);
        if (ThreadPool::Shared().busy()) {
          // Another stream waits for a thread: go to the end of the queue.
          ThreadPool::Shared().Submit([self] { self->Work(self); });
          Ended();
          return;
        }
      }
    } catch (const std::bad_alloc&) {  // of a claim or a task: the reader will come to it and tell
    }
    --active;
    Ended();
  }

  void Ended() noexcept {
    --running;
    changed.notify_all();
  }

  // Has the files looked at by a thread of the pool, as that may take long, or by this one if there
  // is none. REQUIRES: nobody does.
  void StartCheck(const std::shared_ptr<State>& self,
                  const std::vector<std::shared_ptr<const Array>>& files,
                  std::unique_lock<std::mutex>& lock) {
    checking = true;
    changed_files = nullptr;
    try {
      if (!no_threads) {
        ThreadPool::Shared().Submit([self, files] { self->Check(files); });
        return;
      }
    } catch (const std::bad_alloc&) {
    }
    lock.unlock();
    Check(files);
    lock.lock();
  }

  void Check(const std::vector<std::shared_ptr<const Array>>& files) noexcept {
    std::unique_lock lock(mutex);
    ++running;
    if (!cancelled) {
      lock.unlock();
      std::exception_ptr error;
      try {
        for (const auto& array : files) array->CheckFiles();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      changed_files = std::move(error);
    }
    checking = false;
    Ended();
  }

  // Waits for any change, for a while; returns false at the deadline. Where tasks wait for threads
  // that are stuck with other streams, there will be more threads.
  bool Wait(std::unique_lock<std::mutex>& lock, Clock::time_point deadline) {
    const bool stuck = running == 0 && (active > 0 || checking);
    const auto soon = Clock::now() + kThreadsComeWithin;
    if (!stuck || deadline <= soon)
      return changed.wait_until(lock, deadline) == std::cv_status::no_timeout;
    // What has changed in the very moment in which the time was over is for the caller to see.
    if (changed.wait_until(lock, soon) == std::cv_status::timeout && running == 0 &&
        (active > 0 || checking))
      ThreadPool::Shared().GrowByOne();
    return true;
  }
};

BatchStream::BatchStream(std::shared_ptr<const BatchBuilder> maker, const Options& options)
    : maker_(std::move(maker)),
      options_(options),
      row_bytes_(maker_->row_bytes()),
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
  BufferPool::Shared().Reserve(state_->ahead * maker_->item_bytes());
  const std::lock_guard lock(state_->mutex);
  state_->StartWorkers(state_);
}

BatchStream::~BatchStream() {
  Close();
  BufferPool::Shared().Reserve(-state_->ahead * maker_->item_bytes());
  if (generation_ == ForkGeneration()) {
    Discard(*state_);
  } else {
    // Its threads, and whatever they had locked or half done, stayed in the parent.
    static_cast<void>(current_.release());
    state_->CountReady(-state_->ready);
    Abandon(std::move(state_));
  }
}

// REQUIRES: it is cancelled.
void BatchStream::Discard(State& state) {
  std::unique_lock lock(state.mutex);
  // Tasks that have not begun will see that there is nothing to do.
  const auto gone = [&state] { return state.running == 0; };
  if (state.waits_at_end) {
    state.changed.wait(lock, gone);
  } else if (!state.changed.wait_for(lock, kFilesAnswerWithin, gone)) {
    state.CountReady(-state.ready);
    return;  // whoever is still at it has the state
  }
  // A task that has just ended may hold the state a moment longer, but no batches and no sources.
  state.claims.clear();
  state.CountReady(-state.ready);
  Readahead::Handle readahead = std::move(state.readahead);
  std::shared_ptr<const BatchBuilder> made_by = std::move(state.maker);
  lock.unlock();
}

std::shared_ptr<BatchStream::State> BatchStream::NewState(int64_t first_item) const {
  auto state = std::make_shared<State>();
  state->maker = maker_;
  state->statistics = options_.statistics;
  state->ahead = AheadItems(*maker_, options_);
  state->next_item = first_item;
  state->threads = options_.threads;
  state->parts = maker_->Parts(options_.threads);
  state->waits_at_end = ReadsMemory(*maker_);
  state->readahead = Readahead::Start(ReadingOf(*maker_), first_item, options_.readahead,
                                      options_.statistics, &state->resident);
  if (state->readahead != nullptr && !state->waits_at_end)
    state->readahead.get_deleter().most = kFilesAnswerWithin;
  try {
    ThreadPool::Shared().Grow(state->Workers());
  } catch (const std::exception&) {  // of the system, or std::bad_alloc
    state->no_threads = true;        // the reader makes all items itself
  }
  return state;
}

void BatchStream::RebuildAfterFork() {
  const uint64_t now = ForkGeneration();
  // Before the lock, for which fork() waits: this looks at files.
  std::shared_ptr<State> fresh = NewState(position());
  MutexLock rebuild(rebuilding);
  if (generation_ == now) {  // another reader was first
    rebuild.Unlock();
    fresh->cancelled = true;
    Discard(*fresh);
    return;
  }
  // Nobody uses these before they are the child's own: the parent's threads, and whatever they had
  // locked or half done, stayed there.
  new (&reader_) std::mutex;
  static_cast<void>(current_.release());
  state_->CountReady(-state_->ready);
  Abandon(std::move(state_));
  state_ = std::move(fresh);
  generation_ = now;
  const std::lock_guard lock(state_->mutex);
  state_->StartWorkers(state_);
}

int64_t BatchStream::position() const { return position_.load(std::memory_order_relaxed); }

void BatchStream::Close() {
  closed_ = true;
  if (generation_ != ForkGeneration()) return;  // nobody works, and state_ may be about to change
  state_->cancelled = true;
  if (state_->readahead != nullptr) state_->readahead->Stop();
  const std::lock_guard lock(state_->mutex);
  state_->changed.notify_all();
}

BatchStream::Result BatchStream::TakeReady(Batch* item, const std::exception_ptr& changed) {
  if (current_->delivered < current_->outcomes.size()) {
    Outcome& outcome = current_->outcomes[current_->delivered++];
    if (changed && !outcome.error) [[unlikely]] {
      state_->CountReady(-outcome.batch.batches);
      outcome = {{}, changed, outcome.last};
    }
    if (outcome.last) position_.fetch_add(1, std::memory_order_relaxed);
    // Moved: its last owner is whoever catches it.
    if (outcome.error) [[unlikely]]
      std::rethrow_exception(std::move(outcome.error));
    *item = std::move(outcome.batch);
    Count(*item);
    return Result::kItem;
  }
  current_ = nullptr;
  return Result::kNotYet;
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
  const std::unique_lock reading(reader_, std::try_to_lock);
  if (!reading.owns_lock()) return Result::kNotYet;
  if (closed_) return Result::kEnd;
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
  std::unique_lock lock(state_->mutex);
  State& state = *state_;
  if (!state.checking) state.StartCheck(state_, files_, lock);
  while (state.checking && !state.cancelled) {
    if (!state.Wait(lock, deadline)) return false;
  }
  *changed = std::move(state.changed_files);
  if (!*changed) checked_ = true;
  return true;
}

// Where there is no memory for a claim, the claims there are come first. If there are none, that is
// the error of the item that comes next.
BatchStream::Claim* BatchStream::TryClaim(State& state) {
  try {
    return state.TryClaim();
  } catch (const std::bad_alloc&) {
    if (!state.claims.empty()) return nullptr;
    ++state.next_item;
    position_.fetch_add(1, std::memory_order_relaxed);
    throw;
  }
}

BatchStream::Result BatchStream::Next(Batch* item, std::chrono::milliseconds timeout) {
  if (closed_) return Result::kEnd;
  if (generation_ != ForkGeneration()) RebuildAfterFork();
  // A day, or the sum might overflow.
  const auto begin = Clock::now();
  const auto deadline =
      begin + std::min<std::chrono::milliseconds>(timeout, std::chrono::hours(24));
  // What is made here, or by another thread meanwhile, is waited for.
  const auto waited = [this, begin](int64_t times) {
    const std::chrono::nanoseconds spent = Clock::now() - begin;
    options_.statistics->waits.fetch_add(times, std::memory_order_relaxed);
    options_.statistics->wait_ns.fetch_add(spent.count(), std::memory_order_relaxed);
  };
  bool early = false;
  const std::lock_guard reading(reader_);
  for (;;) {
    if (closed_) return Result::kEnd;
    if (current_ != nullptr) {
      std::exception_ptr changed;
      const bool any = current_->delivered < current_->outcomes.size();
      if (any && !CheckFiles(deadline, &changed)) return Result::kNotYet;
      if (closed_) return Result::kEnd;
      if (TakeReady(item, changed) == Result::kItem) {
        if (early) waited(1);
        return Result::kItem;
      }
    }
    std::unique_lock lock(state_->mutex);
    State& state = *state_;
    // Again, now that Close() can't wake anybody up unseen.
    if (state.cancelled) return Result::kEnd;
    if (!state.claims.empty() && state.claims.front()->done()) {
      current_ = std::move(state.claims.front());
      state.claims.pop_front();
      state.StartWorkers(state_);
    } else if (state.claims.empty() && state.AllClaimed()) {
      return Result::kEnd;
    } else if (Claim* claim = MayClaim(state) ? TryClaim(state) : nullptr) {
      early = true;
      state.Fill(claim, lock);
    } else if (!state.claims.empty() && state.claims.front()->done()) {
      continue;  // there was no memory for it
    } else {
      early = true;
      if (!state.Wait(lock, deadline)) {
        waited(0);
        return Result::kNotYet;
      }
    }
  }
}

// Whether the reader is to make items: if nobody else does, anyway.
bool BatchStream::MayClaim(State& state) {
  if (state.ReaderHelps()) return true;
  state.StartWorkers(state_);
  return state.active == 0;
}

}  // namespace npyfast
