#include "core/readahead/readahead.h"

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include "core/os/recent_limits.h"
#include "core/os/thread.h"
#include "core/readahead/access_advice.h"
#include "core/readahead/cache_samples.h"
#include "core/readahead/item_stretches.h"

namespace npyfast {
namespace {

// Requested together, in file order: enough for pages to touch, and not so much that the makers
// wait for the end of it.
constexpr int64_t kBytesTogether = 4 << 20;
constexpr int64_t kUnitsTogether = 256;

// However small units are: requesting one computes its row numbers once more.
constexpr int64_t kMostUnitsAhead = 4096;

// Of a single item, more rows than these are read when they are touched.
constexpr int64_t kMostRowsOnce = 1 << 16;

// Items that are read row by row before the first window of blocks is read.
constexpr int64_t kEarlyItems = 4;

constexpr std::chrono::milliseconds kCheckEvery = std::chrono::seconds(1);

// How often to look whether the first item was delivered.
constexpr std::chrono::milliseconds kFirstItemWithin(10);

// The makers use the rows of so many blocks before more are requested.
constexpr int64_t kSlotsToSleep = 8;

// Reading files as a whole does not depend on the reader, but pauses while it takes nothing for so
// long.
constexpr auto kIdleAfter = std::chrono::seconds(10);

// Nobody may wait long for what is dropped at the end.
constexpr auto kDropWithin = std::chrono::milliseconds(50);
constexpr int64_t kRangesDroppedTogether = 8;

// All units: nobody needs to wait.
constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

}  // namespace

Readahead::Handle Readahead::Start(const Reading& reading, int64_t first_item,
                                   std::vector<std::unique_ptr<ArrayPrefetcher>> leaves,
                                   std::shared_ptr<Statistics> statistics) {
  if (leaves.empty()) return nullptr;
  std::shared_ptr<Readahead> readahead(
      new Readahead(reading, first_item, std::move(leaves), std::move(statistics)));
  try {
    std::thread([self = readahead] { self->Run(); }).detach();
  } catch (const std::exception&) {  // of the system, or std::bad_alloc
    // Then the kernel reads when a row is touched, and around it.
    for (const auto& leaf : readahead->leaves_) ExpectRandom(leaf->array(), false);
    return nullptr;
  }
  return Handle(readahead.get(), Ender<Readahead>{readahead});
}

void Readahead::RequestOnce(const Reading& reading, ReadaheadMode mode) {
  if (mode == ReadaheadMode::kOff) return;
  const Item item = reading.items.At(0);
  const int64_t rows = reading.items.RowCount(item);
  if (rows == 0) return;
  std::vector<int64_t> numbers(static_cast<size_t>(std::min(rows, kMostRowsOnce)));
  reading.items.Fill(item, 0, numbers);
  std::vector<RowStretch> stretches;
  for (const int64_t row : numbers) stretches.push_back({row, 1});
  for (const auto& [array, row_bytes, row_file_cache] : reading.leaves) {
    if (array->file_bytes() == 0 || !RunsOf(*array, 0).AreWorthwhile()) continue;
    if (SeemsResident(*array, 0, array->rows())) continue;
    ArrayPrefetcher prefetcher(array, 0, 0, array->rows(), ArrayPrefetcher::Way::kRows, false,
                               std::make_shared<Statistics>());
    std::vector<FileRange> ranges;
    prefetcher.AddRanges(stretches, &ranges);
    Coalesce(&ranges);
    for (const FileRange& range : ranges) prefetcher.Request(range, 0, true);
  }
}

Readahead::Readahead(const Reading& reading, int64_t first_item,
                     std::vector<std::unique_ptr<ArrayPrefetcher>> leaves,
                     std::shared_ptr<Statistics> statistics)
    : items_(reading.items),
      schedule_(items_, reading.row_bytes),
      leaves_(std::move(leaves)),
      statistics_(std::move(statistics)),
      reached_(first_item),
      first_item_(first_item),
      done_(first_item),
      wake_at_(first_item),
      requested_(schedule_.FirstUnitOf(first_item)),
      early_items_(first_item),
      distance_(RecentUsableMemory(), Clock::now()),
      checked_at_(Clock::now()),
      last_reached_(first_item),
      reached_at_(checked_at_) {
  if (OnlyParts()) requested_ = kAll;
}

void Readahead::End(std::chrono::milliseconds most) {
  Stop();
  const auto deadline = Clock::now() + most;
  const MutexLock lock(mutex_);
  while (phase_ != Phase::kEnded && requested_more_.WaitUntil(mutex_, deadline)) {
  }
}

void Readahead::Stop() {
  {
    const MutexLock lock(mutex_);
    if (phase_ == Phase::kReading) phase_ = Phase::kStopping;
  }
  wake_.NotifyAll();
  requested_more_.NotifyAll();
}

void Readahead::Reached(int64_t item, int64_t done) {
  done_.store(done, std::memory_order_relaxed);
  // Sequentially consistent: Sleep() writes wake_at_ before it reads reached_.
  reached_.store(item);
  if (item < wake_at_.load()) return;
  const MutexLock lock(mutex_);
  wake_.NotifyOne();
}

void Readahead::Await(int64_t item) {
  if (item < early_items_.load(std::memory_order_acquire)) return;
  if (requested_.load(std::memory_order_acquire) == kAll) return;
  const int64_t units = schedule_.EndUnitOf(item);
  if (requested_.load(std::memory_order_acquire) >= units) return;
  const MutexLock lock(mutex_);
  if (reached_ <= item) reached_ = item + 1;
  awaited_ = std::max(awaited_, units);
  wake_.NotifyOne();
  while (!stopping() && requested_ < units && item >= early_items_) requested_more_.Wait(mutex_);
}

void Readahead::SetRequested(int64_t units) {
  {
    const MutexLock lock(mutex_);
    requested_ = units;
  }
  requested_more_.NotifyAll();
}

bool Readahead::AllLoaded() const {
  return std::all_of(leaves_.begin(), leaves_.end(),
                     [](const auto& leaf) { return leaf->loaded(); });
}

bool Readahead::OnlyParts() const {
  return std::all_of(leaves_.begin(), leaves_.end(),
                     [](const auto& leaf) { return leaf->way() == ArrayPrefetcher::Way::kPart; });
}

void Readahead::Run() {
  BeginThread("npyfast-read");
  try {
    if (schedule_.by_blocks() && !OnlyParts()) RequestFirstItems();
    while (!stopping()) {
      // First what makes room, then what a batch may wait for.
      const bool dropped = DropBefore(schedule_.FirstUnitOf(done_));
      if (RequestUnits() || dropped || (!ReaderIsIdle() && LoadChunk())) continue;
      CheckResidency();
      Sleep();
    }
    DropAtTheEnd();
  } catch (...) {  // no memory, or a file that cannot be mapped: the makers will report it
  }
  {
    const MutexLock lock(mutex_);
    requested_ = kAll;
    phase_ = Phase::kEnded;
  }
  requested_more_.NotifyAll();
}

void Readahead::RequestFirstItems() {
  // Not from reached_ on: some of these items may be waited for by now.
  const int64_t first = early_items_;
  const int64_t end =
      items_.items() < 0 ? first + kEarlyItems : std::min(first + kEarlyItems, items_.items());
  for (int64_t item = first; item < end; ++item) {
    RequestRowsOf(item);
    if (stopping()) return;
    {
      const MutexLock lock(mutex_);
      early_items_ = item + 1;
    }
    requested_more_.NotifyAll();
  }
}

void Readahead::RequestRowsOf(int64_t item) {
  ForEachStretchesOf(items_, item, [this](const std::vector<RowStretch>& rows) {
    ranges_.clear();
    for (const auto& leaf : leaves_) leaf->AddRanges(rows, &ranges_);
    RequestRanges(requested_);
    return !stopping();
  });
}

void Readahead::RequestRanges(int64_t unit) {
  Coalesce(&ranges_);
  const auto stopped = [this] { return stopping(); };
  for (const FileRange& range : ranges_) {
    const auto leaf = std::find_if(leaves_.begin(), leaves_.end(),
                                   [&range](const auto& l) { return l->leaf() == range.leaf; });
    // Rows in order, or in blocks, will be needed again in another epoch only. Pages of scattered
    // rows hold other rows, too, which may come soon.
    const bool keep = (*leaf)->way() != ArrayPrefetcher::Way::kRows ||
                      !(schedule_.by_blocks() || schedule_.in_file_order());
    (*leaf)->Request(range, unit, keep, stopped);
    if (stopping()) return;
  }
}

int64_t Readahead::AddUnit(int64_t unit) {
  int64_t bytes = 0;
  int64_t next = 0;
  for (bool more = true; more && !stopping();) {
    more = schedule_.Rows(unit, &next, &rows_);
    const size_t before = ranges_.size();
    for (const auto& leaf : leaves_) leaf->AddRanges(rows_, &ranges_);
    for (size_t i = before; i < ranges_.size(); ++i) bytes += ranges_[i].bytes;
    if (!more) break;
    RequestRanges(unit);
    ranges_.clear();
  }
  return bytes;
}

int64_t Readahead::EndOfRequests(int64_t item) const {
  if (schedule_.by_blocks()) return schedule_.AheadOf(item);
  const int64_t needed = std::min(schedule_.EndUnitOf(item), schedule_.units());
  return std::min(needed + kMostUnitsAhead, schedule_.units());
}

bool Readahead::RequestUnits() {
  if (requested_ == kAll) return false;
  if (AllLoaded()) {
    loaded_ = true;
    SetRequested(kAll);
    return false;
  }
  const int64_t reached = reached_;
  distance_.Used(schedule_.FirstUnitOf(reached), Clock::now());
  // The item that comes next, whatever it takes.
  const int64_t needed = std::min(schedule_.EndUnitOf(reached), schedule_.units());
  const int64_t end = EndOfRequests(reached);
  const int64_t first = requested_;
  int64_t unit = first;
  const auto worthwhile = [&] {
    return unit < end && (unit < needed || schedule_.by_blocks() || distance_.HasRoom());
  };
  if (!worthwhile()) return false;
  ranges_.clear();
  int64_t total_bytes = 0;
  while (worthwhile() && total_bytes < kBytesTogether && unit - first < kUnitsTogether) {
    const int64_t bytes = AddUnit(unit);
    if (stopping()) return false;
    distance_.Requested(unit, bytes);
    total_bytes += bytes;
    ++unit;
    // The first items come one by one, so that each is there as soon as possible.
    if (!schedule_.by_blocks() && unit <= needed) break;
  }
  RequestRanges(unit - 1);
  SetRequested(unit);
  return true;
}

bool Readahead::DropBefore(int64_t unit) {
  bool any = false;
  for (const auto& leaf : leaves_) any = leaf->DropBefore(unit) || any;
  return any;
}

void Readahead::DropAtTheEnd() {
  const auto end = Clock::now() + kDropWithin;
  for (const auto& leaf : leaves_)
    while (Clock::now() < end && leaf->DropBefore(kAll, kRangesDroppedTogether)) {
    }
}

bool Readahead::ReaderIsIdle() {
  const auto now = Clock::now();
  if (const int64_t reached = reached_; reached != last_reached_) {
    last_reached_ = reached;
    reached_at_ = now;
  }
  return now - reached_at_ > kIdleAfter;
}

bool Readahead::PartsWait() const {
  return done_ <= first_item_ && std::any_of(leaves_.begin(), leaves_.end(), [](const auto& leaf) {
           return leaf->way() == ArrayPrefetcher::Way::kPart && !leaf->loaded();
         });
}

bool Readahead::LoadChunk() {
  const bool parts_wait = PartsWait();
  return std::any_of(leaves_.begin(), leaves_.end(), [parts_wait](const auto& leaf) {
    return !(parts_wait && leaf->way() == ArrayPrefetcher::Way::kPart) && leaf->LoadChunk();
  });
}

void Readahead::CheckResidency() {
  const auto now = Clock::now();
  if (now - checked_at_ < kCheckEvery) return;
  checked_at_ = now;
  distance_.Limit(RecentUsableMemory());
  bool all_there = true;
  for (const auto& leaf : leaves_) all_there = leaf->StillLoaded() && all_there;
  if (all_there || OnlyParts()) return;
  distance_.Forget();
  loaded_ = false;
  const MutexLock lock(mutex_);
  requested_ = schedule_.FirstUnitOf(reached_);
}

int64_t Readahead::ItemsToSleep(int64_t item) const {
  if (schedule_.by_blocks()) {
    const Plan::Options& plan = items_.plan().options();
    const auto item_rows =
        static_cast<__int128>(plan.batch_size) * plan.shard_count * items_.run().group;
    const auto rows = static_cast<__int128>(std::min(plan.blocks.block_rows, kAll / 16));
    return static_cast<int64_t>(rows * kSlotsToSleep / item_rows);
  }
  // A good part of what was requested: pages of a few requests at a time would not touch, and each
  // time costs a change of threads.
  return (requested_ - item) / 4;
}

void Readahead::Sleep() {
  const int64_t reached = reached_;
  const bool idle = requested_ == kAll;
  const int64_t wake_at = idle ? kAll : reached + std::max<int64_t>(ItemsToSleep(reached), 1);
  const MutexLock lock(mutex_);
  wake_at_ = wake_at;
  if (stopping() || reached_ >= wake_at || awaited_ > requested_) return;
  wake_.WaitUntil(mutex_, Clock::now() + (PartsWait() ? kFirstItemWithin : kCheckEvery));
}

}  // namespace npyfast
