#include "core/readahead/readahead.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "core/os/buffer_pool.h"
#include "core/os/thread.h"
#include "core/readahead/leaf_prefetchers.h"
#include "core/readahead/recent_memory.h"

namespace npyfast {
namespace {

// What is asked for at least, and the part of a second that the makers take to use up the rest: a
// request that takes longer than that is not helped by more of them.
constexpr int64_t kLeastAheadBytes = 8 << 20;
constexpr int64_t kMostAheadBytes = 256 << 20;
constexpr double kAheadSeconds = 0.5;
constexpr auto kRateOver = std::chrono::milliseconds(100);

// Asked for at once, in file order. Neither so little that nothing touches nor so much that the
// makers wait for the end of it.
constexpr int64_t kGroupBytes = 4 << 20;
constexpr int64_t kGroupUnits = 256;

// However small they are: their row numbers are computed once more for this.
constexpr int64_t kMostUnitsAhead = 4096;

// Of a single item that is asked for by itself, more rows than these come when they are touched.
constexpr int64_t kMostRowsOnce = 1 << 16;

// Items that are read row by row before the first window of blocks is read.
constexpr int64_t kEarlyItems = 4;

constexpr auto kLookAgainAfter = std::chrono::seconds(1);

// Blocks whose worth of rows is made before more are asked for.
constexpr int64_t kWakeSlots = 8;

// Files are read as a whole whatever their reader does, unless it has gone away for so long: then
// until it comes back.
constexpr auto kForgottenAfter = std::chrono::seconds(10);

// What is let go of when nobody may wait long.
constexpr auto kEndWithin = std::chrono::milliseconds(50);
constexpr int64_t kPiecesAtTheEnd = 8;

// All units: nothing is waited for any more.
constexpr int64_t kAll = std::numeric_limits<int64_t>::max();

}  // namespace

Readahead::Handle Readahead::Start(const Reading& reading, int64_t first_item, ReadaheadMode mode,
                                   std::shared_ptr<Statistics> statistics, bool* resident) {
  const bool in_memory =
      std::all_of(reading.leaves.begin(), reading.leaves.end(),
                  [](const auto& leaf) { return leaf.array->row_files() == nullptr; });
  LeafPrefetchers leaves;
  if (reading.items.Has(first_item)) leaves = MakePrefetchers(reading, mode, statistics);
  if (resident != nullptr) *resident = in_memory && leaves.resident;
  if (leaves.prefetchers.empty()) return nullptr;
  std::shared_ptr<Readahead> readahead(
      new Readahead(reading, first_item, std::move(leaves.prefetchers), std::move(statistics)));
  try {
    std::thread([self = readahead] { self->Run(); }).detach();
  } catch (const std::exception&) {  // of the system, or std::bad_alloc
    // Then the kernel reads when a row is touched, and around it.
    for (const auto& leaf : readahead->leaves_) ArrayPrefetcher::ExpectRandom(leaf->array(), false);
    return nullptr;
  }
  return Handle(readahead.get(), Ender{readahead});
}

void Readahead::AskOnce(const Reading& reading, ReadaheadMode mode) {
  if (mode == ReadaheadMode::kOff) return;
  const Item item = reading.items.At(0);
  const int64_t rows = reading.items.RowCount(item);
  if (rows == 0) return;
  std::vector<int64_t> numbers(static_cast<size_t>(std::min(rows, kMostRowsOnce)));
  reading.items.Fill(item, 0, numbers);
  std::vector<RowStretch> stretches;
  for (const int64_t row : numbers) stretches.push_back({row, 1});
  for (const auto& [array, row_bytes] : reading.leaves) {
    if (array->file_bytes() == 0 || !array->has_dense_rows()) continue;
    if (ArrayPrefetcher::Resident(*array, 0, array->rows())) continue;
    ArrayPrefetcher reader(array, 0, 0, array->rows(), ArrayPrefetcher::Way::kRows, false,
                           std::make_shared<Statistics>());
    std::vector<FileRange> ranges;
    reader.AddRanges(stretches, &ranges);
    Coalesce(&ranges);
    for (const FileRange& range : ranges) reader.Ask(range, 0, true);
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
      done_(first_item),
      wake_at_(first_item),
      asked_(schedule_.FirstUnitOf(first_item)),
      early_items_(first_item) {
  most_ahead_bytes_ = std::clamp(RecentUsableMemory() / 8, kLeastAheadBytes, kMostAheadBytes);
  ahead_bytes_ = kLeastAheadBytes;
  used_since_ = looked_at_ = reached_at_ = Clock::now();
  last_reached_ = first_item;
}

void Readahead::End(std::chrono::milliseconds most) {
  Stop();
  std::unique_lock lock(mutex_);
  asked_more_.wait_for(lock, most, [this] { return ended_; });
}

void Readahead::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  asked_more_.notify_all();
}

void Readahead::Reached(int64_t item, int64_t done) {
  done_.store(done, std::memory_order_relaxed);
  // Sequentially consistent: Sleep() writes wake_at_ before it reads reached_.
  reached_.store(item);
  if (item < wake_at_.load()) return;
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void Readahead::Await(int64_t item) {
  if (item < early_items_.load(std::memory_order_acquire)) return;
  if (asked_.load(std::memory_order_acquire) == kAll) return;
  const int64_t units = schedule_.EndUnitOf(item);
  if (asked_.load(std::memory_order_acquire) >= units) return;
  std::unique_lock lock(mutex_);
  if (reached_ <= item) reached_ = item + 1;
  awaited_ = std::max(awaited_, units);
  wake_.notify_one();
  asked_more_.wait(lock, [&] { return stopped_ || asked_ >= units || item < early_items_; });
}

bool Readahead::AllLoaded() const {
  return std::all_of(leaves_.begin(), leaves_.end(),
                     [](const auto& leaf) { return leaf->loaded(); });
}

void Readahead::Run() {
  BeginThread("npyfast-read");
  try {
    if (schedule_.by_blocks()) AskFirstItems();
    while (!stopped_) {
      // First what makes room, then what a batch may wait for.
      const bool let_go = LetGo(schedule_.FirstUnitOf(done_));
      if (AskUnits() || let_go || (!Forgotten() && LoadChunk())) continue;
      LookAgain();
      Sleep();
    }
    LetGoAtTheEnd();
  } catch (...) {  // out of memory, or a file that can't be mapped: the makers will come to it
  }
  {
    const std::lock_guard lock(mutex_);
    asked_ = kAll;
    ended_ = true;
  }
  asked_more_.notify_all();
}

void Readahead::AskFirstItems() {
  // Not from reached_ on: by now some of them may be waited for.
  const int64_t first = early_items_;
  const int64_t end =
      items_.items() < 0 ? first + kEarlyItems : std::min(first + kEarlyItems, items_.items());
  std::vector<int64_t> numbers;
  for (int64_t item = first; item < end; ++item) {
    const Item place = items_.At(item);
    const int64_t rows = items_.RowCount(place);
    for (int64_t next = 0; next < rows; next += std::ssize(numbers)) {
      if (stopped_) return;
      numbers.resize(static_cast<size_t>(std::min(rows - next, kMostUnitsAhead)));
      items_.Fill(place, next, numbers);
      rows_.clear();
      for (const int64_t row : numbers) rows_.push_back({row, 1});
      ranges_.clear();
      for (const auto& leaf : leaves_) leaf->AddRanges(rows_, &ranges_);
      Ask(asked_);
    }
    {
      const std::lock_guard lock(mutex_);
      early_items_ = item + 1;
    }
    asked_more_.notify_all();
  }
}

// Ranges_ of unit `unit`, or of several up to it.
void Readahead::Ask(int64_t unit) {
  Coalesce(&ranges_);
  for (const FileRange& range : ranges_) {
    const auto leaf = std::find_if(leaves_.begin(), leaves_.end(),
                                   [&range](const auto& l) { return l->leaf() == range.leaf; });
    // What is read once an epoch, in an order that is not that of the next one, is not worth
    // keeping; rows that are scattered leave pages whose other rows may come soon.
    const bool keep = (*leaf)->way() == ArrayPrefetcher::Way::kWhole ||
                      !(schedule_.by_blocks() || schedule_.in_file_order());
    (*leaf)->Ask(range, unit, keep, &stopped_);
    if (stopped_) return;
  }
}

int64_t Readahead::AddUnit(int64_t unit) {
  int64_t bytes = 0;
  int64_t next = 0;
  for (bool more = true; more && !stopped_;) {
    more = schedule_.Rows(unit, &next, &rows_);
    const size_t before = ranges_.size();
    for (const auto& leaf : leaves_) leaf->AddRanges(rows_, &ranges_);
    for (size_t i = before; i < ranges_.size(); ++i) bytes += ranges_[i].bytes;
    if (!more) break;
    Ask(unit);
    ranges_.clear();
  }
  return bytes;
}

void Readahead::Forget(int64_t units) {
  while (!outstanding_.empty() && outstanding_.front().unit < units) {
    outstanding_bytes_ -= outstanding_.front().bytes;
    used_bytes_ += outstanding_.front().bytes;
    outstanding_.pop_front();
  }
  const auto now = Clock::now();
  if (now - used_since_ < kRateOver) return;
  const double seconds = std::chrono::duration<double>(now - used_since_).count();
  const auto wanted =
      static_cast<int64_t>(static_cast<double>(used_bytes_) / seconds * kAheadSeconds);
  ahead_bytes_ = std::clamp((ahead_bytes_ + wanted) / 2, kLeastAheadBytes, most_ahead_bytes_);
  used_bytes_ = 0;
  used_since_ = now;
}

bool Readahead::AskUnits() {
  if (asked_ == kAll) return false;
  if (AllLoaded()) {
    loaded_ = true;
    {
      const std::lock_guard lock(mutex_);
      asked_ = kAll;
    }
    asked_more_.notify_all();
    return false;
  }
  const int64_t reached = reached_;
  Forget(schedule_.FirstUnitOf(reached));
  // The item that comes next, whatever it takes.
  const int64_t needed = std::min(schedule_.EndUnitOf(reached), schedule_.units());
  const int64_t most = schedule_.by_blocks()
                           ? schedule_.AheadOf(reached)
                           : std::min(needed + kMostUnitsAhead, schedule_.units());
  int64_t unit = asked_;
  const auto worthwhile = [&] {
    if (unit >= most) return false;
    return unit < needed || schedule_.by_blocks() || outstanding_bytes_ < ahead_bytes_;
  };
  if (!worthwhile()) return false;
  ranges_.clear();
  int64_t group_bytes = 0;
  const int64_t first = unit;
  while (worthwhile() && group_bytes < kGroupBytes && unit - first < kGroupUnits) {
    const int64_t bytes = AddUnit(unit);
    if (stopped_) return false;
    outstanding_.push_back({unit, bytes});
    outstanding_bytes_ += bytes;
    group_bytes += bytes;
    ++unit;
    // The first items come one by one, so that nobody waits for the others.
    if (!schedule_.by_blocks() && unit <= needed) break;
  }
  Ask(unit - 1);
  {
    const std::lock_guard lock(mutex_);
    asked_ = unit;
  }
  asked_more_.notify_all();
  return true;
}

bool Readahead::LetGo(int64_t units) {
  bool any = false;
  for (const auto& leaf : leaves_) any = leaf->LetGo(units) || any;
  return any;
}

void Readahead::LetGoAtTheEnd() {
  const auto end = Clock::now() + kEndWithin;
  for (const auto& leaf : leaves_)
    while (Clock::now() < end && leaf->LetGo(kAll, kPiecesAtTheEnd)) {
    }
}

bool Readahead::Forgotten() {
  const auto now = Clock::now();
  if (const int64_t reached = reached_; reached != last_reached_) {
    last_reached_ = reached;
    reached_at_ = now;
  }
  return now - reached_at_ > kForgottenAfter;
}

bool Readahead::LoadChunk() {
  for (const auto& leaf : leaves_) {
    if (leaf->LoadChunk()) return true;
  }
  return false;
}

void Readahead::LookAgain() {
  const auto now = Clock::now();
  if (now - looked_at_ < kLookAgainAfter) return;
  looked_at_ = now;
  most_ahead_bytes_ = std::clamp(RecentUsableMemory() / 8, kLeastAheadBytes, kMostAheadBytes);
  bool all_there = true;
  for (const auto& leaf : leaves_) all_there = leaf->StillLoaded() && all_there;
  if (all_there) return;
  outstanding_.clear();
  outstanding_bytes_ = 0;
  loaded_ = false;
  const std::lock_guard lock(mutex_);
  asked_ = schedule_.FirstUnitOf(reached_);
}

void Readahead::Sleep() {
  // Once a good part of what was asked for has been made: a few requests at a time would touch
  // nowhere, and cost a change of threads each.
  const int64_t reached = reached_;
  int64_t items = 1;
  if (schedule_.by_blocks()) {
    const Plan::Options& plan = items_.plan().options();
    const auto item_rows =
        static_cast<__int128>(plan.batch_size) * plan.shard_count * items_.run().group;
    items =
        static_cast<int64_t>(std::min(plan.blocks.block_rows, kAll / 16) * kWakeSlots / item_rows);
  } else if (asked_ != kAll) {
    items = (asked_ - reached) / 4;
  }
  std::unique_lock lock(mutex_);
  wake_at_ = asked_ == kAll ? kAll : reached + std::max<int64_t>(items, 1);
  if (stopped_ || reached_ >= wake_at_ || awaited_ > asked_) return;
  wake_.wait_for(lock, kLookAgainAfter);
}

}  // namespace npyfast
