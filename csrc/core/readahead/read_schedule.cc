#include "core/readahead/read_schedule.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/order/block_order.h"
#include "core/os/per_thread.h"

namespace npyfast {
namespace {

constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

// Blocks that are asked for beyond the window that a reader needs next: no more than an eighth of a
// window, as blocks are of any size, and memory is for two windows.
constexpr int64_t kMostSpareSlots = 64;
constexpr int64_t kSparePart = 8;

// The largest piece of a unit: bytes of consecutive rows, and rows that are listed.
constexpr int64_t kPieceBytes = 64 << 20;
constexpr int64_t kListedRows = 4096;

BlockOrder OrderOf(const Plan& plan, uint64_t epoch) {
  const Plan::Options& options = plan.options();
  return BlockOrder(static_cast<uint64_t>(plan.selection().size), options.seed, epoch,
                    options.blocks);
}

void Append(int64_t row, std::vector<RowStretch>* rows) {
  if (!rows->empty() && row == rows->back().first + rows->back().rows) {
    ++rows->back().rows;
  } else {
    rows->push_back({row, 1});
  }
}

}  // namespace

ReadSchedule::ReadSchedule(const ItemPlan& items, int64_t row_bytes) : items_(items) {
  const Plan& plan = items_.plan();
  units_ = items_.items() < 0 ? kEndless : items_.items();
  most_rows_ = std::max<int64_t>(kPieceBytes / std::max<int64_t>(row_bytes, 1), 1);
  if (!plan.options().shuffle || plan.options().blocks.block_rows == 0 || units_ == 0) return;
  slots_ = OrderOf(plan, 0).slots();
  const int64_t epochs = items_.run().epochs;
  if (epochs < 0 || __builtin_mul_overflow(epochs, slots_, &units_)) units_ = kEndless;
}

bool ReadSchedule::in_file_order() const {
  const Plan& plan = items_.plan();
  return !plan.options().shuffle && plan.selection().ascending();
}

ReadSchedule::Slots ReadSchedule::SlotsOf(int64_t item) const {
  const Plan& plan = items_.plan();
  const Item which = items_.At(item);
  const BlockOrder order = OrderOf(plan, which.epoch);
  const int64_t last_batch = which.batch + which.batches - 1;
  const int64_t most = plan.selection().size - 1;
  const int64_t first = std::min(plan.FirstPosition(which.batch), most);
  // A worker's part of a short batch may be empty.
  const int64_t last =
      std::clamp(plan.FirstPosition(last_batch) + plan.BatchRows(last_batch) - 1, first, most);
  Slots slots;
  slots.epoch_start = static_cast<int64_t>(which.epoch - items_.run().start_epoch) * slots_;
  slots.place = last / plan.options().blocks.block_rows;
  slots.first = order.FirstSlotOf(static_cast<uint64_t>(first));
  slots.end = order.EndSlotOf(static_cast<uint64_t>(last));
  return slots;
}

int64_t ReadSchedule::FirstUnitOf(int64_t item) const {
  if (!items_.Has(item)) return units_;
  if (!by_blocks()) return item;
  const Slots slots = SlotsOf(item);
  return slots.epoch_start + slots.first;
}

int64_t ReadSchedule::EndUnitOf(int64_t item) const {
  if (!items_.Has(item)) return units_;
  if (!by_blocks()) return item + 1;
  const Slots slots = SlotsOf(item);
  return slots.epoch_start + slots.end;
}

int64_t ReadSchedule::AheadOf(int64_t item) const {
  if (!items_.Has(item)) return units_;
  const Slots slots = SlotsOf(item);
  const int64_t window = slots.end - slots.first;
  const int64_t spare = std::min(kMostSpareSlots, window / kSparePart);
  const int64_t end = std::max(slots.place + 1 + window, slots.end) + spare;
  return std::min(slots.epoch_start + end, units_);
}

int64_t ReadSchedule::Select(int64_t position, int64_t count, std::vector<RowStretch>* rows) const {
  const Selection& selection = items_.plan().selection();
  if (selection.ascending() && selection.step == 1) {
    count = std::min(count, most_rows_);
    rows->push_back({selection.start + position, count});
    return count;
  }
  auto& numbers = PerThread<std::vector<int64_t>, ReadSchedule>::Get();
  numbers.resize(static_cast<size_t>(std::min(count, kListedRows)));
  std::iota(numbers.begin(), numbers.end(), position);
  selection.Map(numbers);
  for (const int64_t row : numbers) Append(row, rows);
  return std::ssize(numbers);
}

bool ReadSchedule::Rows(int64_t unit, int64_t* next, std::vector<RowStretch>* rows) const {
  const Plan& plan = items_.plan();
  rows->clear();
  if (by_blocks()) {
    const uint64_t epoch = items_.run().start_epoch + static_cast<uint64_t>(unit / slots_);
    int64_t before = 0;
    int64_t all = 0;
    for (const auto& [first, count] : OrderOf(plan, epoch).SlotRows(unit % slots_)) {
      const int64_t skipped = std::clamp<int64_t>(*next - before, 0, count);
      if (skipped < count && rows->empty()) *next += Select(first + skipped, count - skipped, rows);
      before += count;
      all += count;
    }
    return *next < all;
  }
  const Item item = items_.At(unit);
  const int64_t all = items_.RowCount(item);
  const int64_t left = all - *next;
  if (in_file_order() && item.batches == 1) {
    if (left > 0) *next += Select(plan.FirstPosition(item.batch) + *next, left, rows);
  } else {
    auto& numbers = PerThread<std::vector<int64_t>, ReadSchedule>::Get();
    numbers.resize(static_cast<size_t>(std::min(left, kListedRows)));
    items_.Fill(item, *next, numbers);
    for (const int64_t row : numbers) Append(row, rows);
    *next += std::ssize(numbers);
  }
  return *next < all;
}

}  // namespace npyfast
