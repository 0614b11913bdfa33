#include "core/readahead/direct_rows.h"

#include <algorithm>
#include <array>
#include <limits>
#include <thread>
#include <utility>

#include "core/gather/batch_builder.h"
#include "core/os/clock.h"
#include "core/os/per_thread.h"
#include "core/os/thread.h"
#include "core/readahead/item_stretches.h"
#include "core/readahead/settings.h"

namespace npyfast {
namespace {

// All rows of an item, however many.
constexpr int64_t kAllRows = -1;

// Items that are left to the mappings at the beginning.
constexpr int64_t kEarlyItems = 1;
constexpr int64_t kEarlyItemsOfShared = 4;

// Reads in flight that measuring begins with: many, if they are small.
constexpr int64_t kFirstBytes = 2 << 20;
constexpr int64_t kFirstDepth = 32;
constexpr int64_t kMostFirstDepth = 128;

// Bytes in flight until rows of the first items were copied, which wait for the same disk.
constexpr int64_t kBytesBeforeFirst = 1 << 20;

// Completions waited for at once: a part of what is in flight.
constexpr int kPartOfDepth = 8;
constexpr int kRoundsBetweenLooks = 64;  // at the CPU time
constexpr auto kLookAfter = std::chrono::milliseconds(50);
constexpr auto kSleepAtMost = std::chrono::seconds(1);

// The thread goes on once a part of the slots is free.
constexpr int64_t kPartOfSlots = 8;

uint64_t NextId() {
  static std::atomic<uint64_t> made{0};
  return ++made;
}

// The rows of the pieces that an item is made of, as a thread remembers them that made it last.
struct SharedTable {
  uint64_t id = 0;
  int64_t first = 0;
  int64_t end = 0;
  size_t leaf = 0;
  std::vector<PlacedRows> rows;  // sorted
};
constexpr size_t kTables = 4;

// Requests rows from the kernel.
void RequestRows(ArrayPrefetcher& hints, const std::vector<RowStretch>& rows) {
  std::vector<FileRange> ranges;
  hints.AddRanges(rows, &ranges);
  Coalesce(&ranges);
  for (const FileRange& range : ranges) hints.Request(range, 0, true);
}

}  // namespace

DirectRows::Handle DirectRows::Start(const Reading& reading, std::vector<DirectLeaf> leaves,
                                     int64_t first_item, const DirectSizes& sizes,
                                     std::shared_ptr<Statistics> statistics) {
  std::shared_ptr<DirectRows> rows(
      new DirectRows(reading, std::move(leaves), first_item, sizes, std::move(statistics)));
  try {
    std::thread([self = rows] { self->Run(); }).detach();
  } catch (const std::exception&) {  // of the system, or std::bad_alloc
    return nullptr;
  }
  return Handle(rows.get(), Ender<DirectRows>{rows});
}

DirectRows::DirectRows(const Reading& reading, std::vector<DirectLeaf> leaves, int64_t first_item,
                       const DirectSizes& sizes, std::shared_ptr<Statistics> statistics)
    : items_(reading.items),
      plan_(PiecesOf(items_, leaves, sizes)),
      leaves_(std::move(leaves)),
      statistics_(std::move(statistics)),
      method_(DirectReadMethod().value_or(ReadMethod::kIoUring)),
      id_(NextId()),
      slot_count_(sizes.slots),
      slot_bytes_(sizes.slot_bytes),
      first_depth_(static_cast<int>(
          std::clamp<int64_t>(kFirstBytes / sizes.read_bytes, kFirstDepth, kMostFirstDepth))),
      most_before_first_(static_cast<int>(
          std::clamp<int64_t>(kBytesBeforeFirst / sizes.read_bytes, 2, ReadDepth::kMost))),
      early_end_(first_item + (plan_.shared() ? kEarlyItemsOfShared : kEarlyItems)),
      first_piece_(plan_.FirstOf(plan_.shared() ? first_item : early_end_)),
      slots_(std::make_unique<PieceSlot[]>(static_cast<size_t>(slot_count_))),
      ready_before_(first_piece_),
      early_items_(first_item),
      done_(first_item),
      next_piece_(first_piece_) {}

DirectRows::~DirectRows() = default;

// The makers.

template <typename Ready>
void DirectRows::WaitFor(int64_t pieces, const Ready& ready) {
  const MutexLock lock(mutex_);
  awaited_ = std::max(awaited_, pieces);
  wake_.NotifyOne();
  ++waiting_;
  while (phase() == Phase::kReading && !ready()) ready_.Wait(mutex_);
  --waiting_;
  if (stopping() && !ready()) throw Stopped();
}

int64_t DirectRows::Await(int64_t item, int64_t begin, int64_t end) {
  if (IsEarly(item)) {
    const auto requested = [&] { return early_items_.load(std::memory_order_acquire) > item; };
    if (!requested()) WaitFor(0, requested);
    return end;
  }
  if (plan_.shared()) {
    const int64_t pieces = plan_.EndOf(item);
    const auto ready = [&] { return ready_before_.load(std::memory_order_acquire) >= pieces; };
    if (!ready()) WaitFor(pieces, ready);
    return end;
  }
  const int64_t piece = plan_.PieceAt(item, begin);
  const PieceSlot& slot = SlotOf(piece);
  const auto ready = [&] { return slot.ready.load(std::memory_order_acquire) == piece; };
  if (!ready()) WaitFor(piece + 1, ready);
  if (ready() && slot.error) std::rethrow_exception(slot.error);
  return std::min(end, plan_.EndPlace(begin));
}

bool DirectRows::Locate(int64_t item, int64_t begin, std::span<const int64_t> rows, size_t leaf,
                        std::span<const std::byte*> addresses) {
  if (IsEarly(item)) return false;
  const auto found = std::find_if(leaves_.begin(), leaves_.end(),
                                  [leaf](const DirectLeaf& l) { return l.leaf == leaf; });
  if (found == leaves_.end()) return false;
  const auto number = static_cast<size_t>(found - leaves_.begin());
  if (plan_.shared()) return LocateShared(item, rows, number, addresses);
  const int64_t piece = plan_.PieceAt(item, begin);
  const PieceSlot& slot = SlotOf(piece);
  if (slot.ready.load(std::memory_order_acquire) != piece || slot.refused) return false;
  const std::vector<const std::byte*>& all = slot.addresses[number];
  const int64_t first = begin - (plan_.EndPlace(begin) - plan_.most_rows());
  std::copy_n(all.begin() + first, rows.size(), addresses.begin());
  return true;
}

bool DirectRows::LocateShared(int64_t item, std::span<const int64_t> rows, size_t leaf,
                              std::span<const std::byte*> addresses) {
  const int64_t first = plan_.FirstOf(item);
  const int64_t end = plan_.EndOf(item);
  if (ready_before_.load(std::memory_order_acquire) < end) return false;
  auto& tables = PerThread<std::array<SharedTable, kTables>, DirectRows>::Get();
  SharedTable& table = tables[leaf % kTables];
  if (table.id != id_ || table.first != first || table.end != end || table.leaf != leaf) {
    table.id = 0;
    table.rows.clear();
    for (int64_t piece = first; piece < end; ++piece) {
      const PieceSlot& slot = SlotOf(piece);
      // Of a block that cannot be read, the rows that an item needs are left to the mapping, whose
      // error is that of the items which need them.
      if (slot.error || slot.refused) continue;
      table.rows.insert(table.rows.end(), slot.stretches[leaf].begin(), slot.stretches[leaf].end());
    }
    std::sort(table.rows.begin(), table.rows.end(),
              [](const PlacedRows& a, const PlacedRows& b) { return a.first < b.first; });
    table = {id_, first, end, leaf, std::move(table.rows)};
  }
  FindRows(table.rows, rows, leaves_[leaf].array->row_stride(), addresses);
  return true;
}

void DirectRows::Release(int64_t item, int64_t begin, int64_t end) {
  if (IsEarly(item)) first_copied_.store(true, std::memory_order_relaxed);
  if (plan_.shared()) return ReleaseItem(item, end - begin);
  if (IsEarly(item)) return;
  while (begin < end) {
    const int64_t piece_end = std::min(end, plan_.EndPlace(begin));
    ReleasePiece(plan_.PieceAt(item, begin), piece_end - begin);
    begin = piece_end;
  }
}

void DirectRows::ReleasePiece(int64_t piece, int64_t rows) {
  PieceSlot& slot = SlotOf(piece);
  if (slot.planned.load(std::memory_order_acquire) != piece) {
    const MutexLock lock(mutex_);
    if (slot.planned.load(std::memory_order_relaxed) != piece) {
      released_early_[piece] += rows;
      return;
    }
  }
  // Sequentially consistent: Sleep() writes wake_at_ before it looks whether rows are left.
  if (slot.rows_left.fetch_sub(rows) != rows) return;
  if (released_.fetch_add(1) + 1 < wake_at_.load()) return;
  const MutexLock lock(mutex_);
  wake_.NotifyOne();
}

void DirectRows::ReleaseItem(int64_t item, int64_t rows) {
  const int64_t all = items_.RowCount(items_.At(item));
  const MutexLock lock(mutex_);
  copied_rows_[item] += rows;
  if (copied_rows_[item] < all) return;
  copied_rows_[item] = kAllRows;
  int64_t done = done_;
  const auto is_empty = [&](int64_t one) {
    return items_.Has(one) && items_.RowCount(items_.At(one)) == 0;
  };
  for (auto next = copied_rows_.begin();; next = copied_rows_.begin()) {
    if (next != copied_rows_.end() && next->first <= done && next->second == kAllRows) {
      done = std::max(done, next->first + 1);
      copied_rows_.erase(next);
    } else if (is_empty(done)) {
      ++done;  // a worker's part of a short batch
    } else {
      break;
    }
  }
  SetDone(done);
}

void DirectRows::SetDone(int64_t done) {
  if (done <= done_) return;
  done_ = done;
  if (done >= wake_at_.load()) wake_.NotifyOne();
}

void DirectRows::Reached(int64_t done) {
  if (!plan_.shared() || done <= done_) return;
  const MutexLock lock(mutex_);
  SetDone(done);
}

void DirectRows::Stop() {
  {
    const MutexLock lock(mutex_);
    if (phase() < Phase::kStopping) phase_ = Phase::kStopping;
  }
  wake_.NotifyAll();
  ready_.NotifyAll();
}

void DirectRows::End(std::chrono::milliseconds most) {
  Stop();
  const auto deadline = Clock::now() + most;
  const MutexLock lock(mutex_);
  while (!ended_ && ready_.WaitUntil(mutex_, deadline)) {
  }
}

// The thread.

void DirectRows::Run() {
  BeginThread("npyfast-direct");
  try {
    RequestFirstItems();
    ReadAll();
  } catch (...) {  // no memory, or no thread: the makers read what is mapped
  }
  queue_.reset();  // waits for what is in flight
  ShowDepth(0);
  CountCpu();
  {
    const MutexLock lock(mutex_);
    if (!stopping()) phase_ = Phase::kMapped;
    ended_ = true;
  }
  ready_.NotifyAll();
}

std::vector<std::unique_ptr<ArrayPrefetcher>> DirectRows::MakeHints() const {
  std::vector<std::unique_ptr<ArrayPrefetcher>> hints;
  for (const auto& [array, leaf] : leaves_) {
    hints.push_back(std::make_unique<ArrayPrefetcher>(
        array, leaf, 0, array->rows(), ArrayPrefetcher::Way::kRows, false, statistics_));
  }
  return hints;
}

void DirectRows::RequestFirstItems() {
  const int64_t end = items_.items() < 0 ? early_end_ : std::min(early_end_, items_.items());
  const auto hints = MakeHints();
  for (int64_t item = early_items_; item < end && !stopping(); ++item) {
    ForEachStretchesOf(items_, item, [&](const std::vector<RowStretch>& rows) {
      for (const auto& leaf : hints) RequestRows(*leaf, rows);
      return !stopping();
    });
    {
      const MutexLock lock(mutex_);
      early_items_ = item + 1;
    }
    ready_.NotifyAll();
  }
}

void DirectRows::ReadAll() {
  buffers_.emplace(static_cast<size_t>(slot_count_ * slot_bytes_));
  queue_.emplace(AsyncReader::Make(method_, ReadDepth::kMost, buffers_->bytes()));
  for (const DirectLeaf& leaf : leaves_) {
    files_.push_back(std::make_unique<DirectFiles>(*leaf.array));
    layouts_.push_back(std::make_unique<PieceLayout>(
        *leaf.array, [files = files_.back().get()](size_t file) { return files->Of(file); }));
  }
  ReadDepth measured(first_depth_, Clock::now());
  std::vector<PieceSlot*> finished;
  while (!stopping()) {
    const bool before_first = !first_copied_.load(std::memory_order_relaxed);
    const int depth =
        before_first ? std::min(most_before_first_, measured.depth()) : measured.depth();
    PlanPieces(depth);
    if (queue_->in_flight() == 0 && queue_->waiting() == 0) {
      CountCpu();
      Sleep();
      continue;
    }
    const bool busy = queue_->in_flight() + static_cast<int>(queue_->waiting()) >= depth;
    const int least = busy ? std::max(depth / kPartOfDepth, 1) : 1;
    finished.clear();
    const int64_t bytes = queue_->Advance(depth, least, kLookAfter, &finished);
    statistics_->direct_bytes += bytes;
    for (const PieceSlot* slot : finished) SetReady(slot->planned);
    measured.Read(bytes, busy && !before_first, Clock::now());
    ShowDepth(depth);
    if (++rounds_ % kRoundsBetweenLooks == 0) CountCpu();
  }
}

bool DirectRows::HasRoomFor(int64_t piece) {
  if (piece >= plan_.pieces()) return false;
  const PieceSlot& slot = SlotOf(piece);
  const int64_t before = slot.planned.load(std::memory_order_relaxed);
  if (before < 0) return true;
  if (slot.ready.load(std::memory_order_relaxed) != before) return false;
  if (plan_.shared()) return before < plan_.FirstOf(done_);
  // Sequentially consistent, as in ReleasePiece().
  return slot.rows_left.load() == 0;
}

void DirectRows::PlanPieces(int depth) {
  while (!stopping() && static_cast<int>(queue_->waiting()) < depth && HasRoomFor(next_piece_))
    PlanPiece(next_piece_++);
}

void DirectRows::PlanPiece(int64_t piece) {
  PieceSlot& slot = SlotOf(piece);
  slot.error = nullptr;
  slot.refused = false;
  slot.addresses.resize(leaves_.size());
  slot.stretches.resize(leaves_.size());
  std::byte* const begin = buffers_->bytes().data() + (piece % slot_count_) * slot_bytes_;
  PieceLayout::Memory memory{begin, begin + slot_bytes_};
  ranges_.clear();
  if (plan_.shared()) {
    plan_.ListStretches(piece, &stretches_);
  } else {
    plan_.ListRows(piece, &rows_);
  }
  for (size_t i = 0; i < leaves_.size(); ++i) {
    PieceLayout& layout = *layouts_[i];
    if (plan_.shared()) {
      layout.PlaceStretches(stretches_, &memory, &slot.stretches[i], &ranges_);
    } else {
      layout.PlaceRows(rows_, &memory, &slot.addresses[i], &ranges_);
    }
    statistics_->resident_bytes += layout.resident_bytes();
    statistics_->needed_bytes += layout.resident_bytes();
    RequestRefused(i);
  }
  const bool announced = Announce(piece, &slot);
  for (const PieceRange& range : ranges_) {
    statistics_->needed_bytes += range.bytes;
    statistics_->read_bytes += range.bytes;
    if (announced) queue_->Add(&slot, range);
  }
  if (slot.reads_left == 0) SetReady(piece);
}

bool DirectRows::Announce(int64_t piece, PieceSlot* slot) {
  const MutexLock lock(mutex_);
  int64_t left = 0;
  if (!plan_.shared()) {
    left = std::ssize(rows_);
    if (const auto early = released_early_.find(piece); early != released_early_.end()) {
      left -= early->second;
      released_early_.erase(early);
    }
    if (left == 0) ++released_;
  }
  slot->rows_left.store(left, std::memory_order_relaxed);
  slot->planned.store(piece, std::memory_order_release);
  return left > 0 || plan_.shared();
}

void DirectRows::RequestRefused(size_t leaf) {
  const std::vector<RowStretch>& refused = layouts_[leaf]->refused();
  if (refused.empty()) return;
  if (hints_.empty()) hints_ = MakeHints();
  RequestRows(*hints_[leaf], refused);
}

void DirectRows::SetReady(int64_t piece) {
  SlotOf(piece).ready.store(piece, std::memory_order_release);
  int64_t before = ready_before_.load(std::memory_order_relaxed);
  while (before < next_piece_ && SlotOf(before).ready.load(std::memory_order_relaxed) == before)
    ++before;
  const MutexLock lock(mutex_);
  ready_before_.store(before, std::memory_order_release);
  if (waiting_ > 0) ready_.NotifyAll();
}

int64_t DirectRows::WakeAt() const {
  if (next_piece_ >= plan_.pieces()) return std::numeric_limits<int64_t>::max();
  const bool wanted = awaited_ > next_piece_;
  if (!plan_.shared()) return released_ + (wanted ? 1 : 1 + slot_count_ / kPartOfSlots);
  return done_ +
         (wanted ? 1
                 : plan_.ItemsOf(std::clamp<int64_t>(slot_count_ / kPartOfSlots, 1, kPartOfSlots)));
}

void DirectRows::Sleep() {
  const MutexLock lock(mutex_);
  wake_at_ = WakeAt();
  if (stopping() || HasRoomFor(next_piece_)) return;
  wake_.WaitUntil(mutex_, Clock::now() + kSleepAtMost);
  wake_at_ = std::numeric_limits<int64_t>::max();
}

void DirectRows::ShowDepth(int depth) {
  statistics_->read_depth += depth - shown_depth_;
  shown_depth_ = depth;
}

void DirectRows::CountCpu() {
  const int64_t now = ThreadCpuNs();
  statistics_->cpu_ns += now - cpu_ns_;
  cpu_ns_ = now;
}

}  // namespace npyfast
