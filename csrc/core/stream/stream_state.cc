#include "core/stream/stream_state.h"

#include <algorithm>
#include <new>
#include <utility>

#include "core/os/clock.h"
#include "core/os/sigbus_guard.h"
#include "core/os/thread_pool.h"

namespace npyfast {
namespace {

using Clock = std::chrono::steady_clock;

// A reader that copied an item of this size itself would not look at its deadline for too long.
constexpr int64_t kLargeItem = 64 << 20;

// Threads of the pool that do not come within this time are stuck with other streams.
constexpr auto kThreadsComeWithin = std::chrono::milliseconds(20);

// How long the end of a stream waits for files.
constexpr auto kFilesAnswerWithin = std::chrono::milliseconds(100);
constexpr auto kForever = std::chrono::hours(24);

// Of as many threads as were asked for, those that are of use: where nobody waits for a disk, more
// than there are CPUs only take turns, with more batches than the caches of a CPU hold.
int UsefulThreads(int threads, int cpus, const ItemMaker& maker) {
  return maker.NeverWaits() ? std::min(threads, cpus) : threads;
}

int64_t AheadItems(const BatchBuilder& builder, const StreamOptions& options, int threads) {
  const int64_t by_memory = options.ahead_bytes / std::max<int64_t>(builder.item_bytes(), 1);
  // Enough for all threads to be at work while the reader has one.
  const int64_t least = builder.Parts(threads) > 1 ? 2 : threads + 1;
  return std::clamp(by_memory, least, std::max(options.ahead_items, least));
}

// Counts the CPU time of a task.
class CpuCounter {
 public:
  explicit CpuCounter(Statistics& statistics) : statistics_(statistics), begin_(ThreadCpuNs()) {}
  ~CpuCounter() { statistics_.cpu_ns += ThreadCpuNs() - begin_; }
  CpuCounter(const CpuCounter&) = delete;
  CpuCounter& operator=(const CpuCounter&) = delete;

 private:
  Statistics& statistics_;
  const int64_t begin_;
};

bool ReadsMemory(const BatchBuilder& builder) {
  const auto is_memory = [](const std::shared_ptr<const Gather>& leaf) {
    return leaf->array()->file_bytes() == 0 && leaf->array()->row_files() == nullptr;
  };
  return std::any_of(builder.leaves().begin(), builder.leaves().end(), is_memory);
}

}  // namespace

StreamState::StreamState(const std::shared_ptr<const BatchBuilder>& builder,
                         const StreamOptions& options, int64_t first_item,
                         std::shared_ptr<const std::atomic<bool>> closed)
    : closed_(std::move(closed)),
      statistics_(options.statistics),
      reads_memory_(ReadsMemory(*builder)),
      maker_(std::make_unique<ItemMaker>(builder, options, first_item, closed_.get(),
                                         reads_memory_ ? kForever : kFilesAnswerWithin)),
      cpus_(options.cpus),
      threads_(UsefulThreads(options.threads, cpus_, *maker_)),
      ahead_(AheadItems(*builder, options, threads_)),
      claims_(builder->items(), first_item, ahead_, builder->Parts(threads_)) {
  try {
    ThreadPool::Shared().Grow(Workers());
  } catch (const std::exception&) {  // of the system, or std::bad_alloc
    no_threads_ = true;              // the reader makes all items itself
  }
}

bool StreamState::ReaderHelps() const {
  return no_threads_ || (maker_->NeverWaits() && maker_->builder().item_bytes() <= kLargeItem);
}

bool StreamState::ReaderMakes() {
  if (ReaderHelps()) return true;
  StartWorkers();
  return active_ == 0;
}

int StreamState::Workers() const {
  if (no_threads_) return 0;
  const int threads = UsefulThreads(threads_, cpus_, *maker_);
  return ReaderHelps() ? std::max(threads - 1, 1) : threads;
}

void StreamState::CountReady(int64_t batches) {
  ready_.fetch_add(batches, std::memory_order_relaxed);
  statistics_->batches_ahead.fetch_add(batches, std::memory_order_relaxed);
}

void StreamState::Start() {
  const MutexLock lock(mutex_);
  StartWorkers();
}

StreamState::Taken StreamState::Take(TimePoint deadline, std::unique_ptr<Claim>* claim,
                                     bool* waited) {
  const MutexLock lock(mutex_);
  for (;;) {
    if (closed()) return Taken::kEnd;
    if (claims_.FrontIsDone()) {
      *claim = claims_.PopFront();
      StartWorkers();
      return Taken::kClaim;
    }
    if (claims_.empty() && claims_.AllClaimed()) return Taken::kEnd;
    ClaimQueue::Part part;
    try {
      if (ReaderMakes()) part = TryClaim();
    } catch (const std::bad_alloc&) {
      // The claims there are come first. If there are none, this is what becomes of the next item.
      if (claims_.empty()) {
        claims_.SkipItem();
        return Taken::kNoMemory;
      }
    }
    if (claims_.FrontIsDone()) continue;  // there was no memory for its item
    *waited = true;
    if (part.claim != nullptr) {
      Make(part);
    } else if (!Wait(deadline)) {
      return Taken::kNotYet;
    }
  }
}

ClaimQueue::Part StreamState::TryClaim() {
  while (!closed()) {
    if (claims_.HasPartsLeft()) return claims_.BeginPart();
    std::unique_ptr<Claim> claim = claims_.NewClaim();
    if (claim == nullptr) break;
    // All threads must find the memory of an item that several make.
    if (claims_.parts() > 1 && !maker_->Allocate(*claim)) claim->Finish();
    claims_.Add(std::move(claim));
    maker_->Reached(claims_.next_item(), claims_.front().first());
  }
  return {};
}

void StreamState::Make(const ClaimQueue::Part& part) {
  Claim& claim = *part.claim;
  std::exception_ptr error;
  mutex_.unlock();
  InstallGuard();  // others may have taken the signal since the last claim
  const auto begin = Clock::now();
  if (claim.parts() == 1) {
    maker_->MakeItems(claim);
  } else {
    error = maker_->MakePart(claim, part.number);
  }
  const auto spent = Clock::now() - begin;
  mutex_.lock();
  if (claim.EndPart(std::move(error))) {
    if (claim.failed()) {
      mutex_.unlock();
      maker_->TakeApart(claim);
      mutex_.lock();
    }
    claim.Finish();
    for (const Outcome& outcome : claim.outcomes)
      if (!outcome.error) CountReady(outcome.batch.batches);
  }
  claims_.Took(claim, spent);
  changed_.NotifyAll();
}

void StreamState::StartWorkers() noexcept {
  if (closed() || !(claims_.WorthWaking() || claims_.HasPartsLeft())) return;
  try {
    while (active_ < Workers()) {
      ThreadPool::Shared().Submit([self = shared_from_this()] { self->Work(); });
      ++active_;  // in time: the task needs the mutex to count itself out
    }
  } catch (const std::bad_alloc&) {  // then the reader makes the items itself
  }
}

void StreamState::Work() noexcept {
  const CpuCounter counter(*statistics_);
  const MutexLock lock(mutex_);
  ++running_;
  try {
    while (!closed() && (claims_.WorthClaiming() || claims_.HasPartsLeft())) {
      const ClaimQueue::Part part = TryClaim();
      if (part.claim == nullptr) break;
      Make(part);
      if (ThreadPool::Shared().busy()) {
        // Another stream waits for a thread: go to the end of the queue.
        ThreadPool::Shared().Submit([self = shared_from_this()] { self->Work(); });
        EndTask();
        return;
      }
    }
  } catch (const std::bad_alloc&) {  // of a claim or a task: the reader will report it
  }
  --active_;
  EndTask();
}

void StreamState::EndTask() noexcept {
  --running_;
  changed_.NotifyAll();
}

bool StreamState::CheckFiles(const std::vector<std::shared_ptr<const Array>>& files,
                             TimePoint deadline, std::exception_ptr* changed) {
  const MutexLock lock(mutex_);
  if (!checking_) StartCheck(files);
  while (checking_ && !closed()) {
    if (!Wait(deadline)) return false;
  }
  *changed = std::move(changed_files_);
  return true;
}

void StreamState::StartCheck(const std::vector<std::shared_ptr<const Array>>& files) {
  checking_ = true;
  changed_files_ = nullptr;
  try {
    if (!no_threads_) {
      ThreadPool::Shared().Submit([self = shared_from_this(), files] { self->Check(files); });
      return;
    }
  } catch (const std::bad_alloc&) {
  }
  mutex_.unlock();
  Check(files);
  mutex_.lock();
}

void StreamState::Check(const std::vector<std::shared_ptr<const Array>>& files) noexcept {
  const MutexLock lock(mutex_);
  ++running_;
  if (!closed()) {
    std::exception_ptr error;
    mutex_.unlock();
    try {
      for (const auto& array : files) array->CheckFiles();
    } catch (...) {
      error = std::current_exception();
    }
    mutex_.lock();
    changed_files_ = std::move(error);
  }
  checking_ = false;
  EndTask();
}

bool StreamState::Wait(TimePoint deadline) {
  const auto soon = Clock::now() + kThreadsComeWithin;
  if (!Stuck() || deadline <= soon) return changed_.WaitUntil(mutex_, deadline);
  // What changed in the very moment in which the time was over is for the caller to see.
  if (!changed_.WaitUntil(mutex_, soon) && Stuck()) ThreadPool::Shared().GrowByOne();
  return true;
}

void StreamState::Wake() {
  maker_->Wake();
  const MutexLock lock(mutex_);
  changed_.NotifyAll();
}

void StreamState::Discard() {
  const auto deadline = Clock::now() + kFilesAnswerWithin;
  MutexLock lock(mutex_);
  // Tasks that have not begun will see that there is nothing to do.
  while (running_ > 0) {
    if (reads_memory_) {
      changed_.Wait(mutex_);
    } else if (!changed_.WaitUntil(mutex_, deadline) && running_ > 0) {
      ForgetReady();
      return;  // the tasks that still run release everything
    }
  }
  // A task that has just ended may hold the state a moment longer, but no batches and no sources.
  claims_.Clear();
  ForgetReady();
  const std::unique_ptr<const ItemMaker> maker = std::move(maker_);
  lock.Unlock();
}

}  // namespace npyfast
