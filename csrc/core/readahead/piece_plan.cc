#include "core/readahead/piece_plan.h"

#include <algorithm>
#include <limits>

namespace npyfast {
namespace {

constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

// Blocks that are read beyond the next window: no more than an eighth of a window.
constexpr __int128 kMostSpare = 64;

}  // namespace

PiecePlan::PiecePlan(const ItemPlan& items, int64_t row_bytes, int64_t piece_bytes)
    : items_(items),
      schedule_(items, row_bytes),
      in_order_(schedule_.in_file_order() && items.plan().selection().step == 1) {
  const Plan::Options& options = items_.plan().options();
  if (by_blocks()) {
    rows_ = options.blocks.block_rows;
    pieces_ = schedule_.units();
    // An item may reach from one window into another, and the next window is read meanwhile.
    // Windows of one epoch differ by a block, and the last one may have a remainder of rows.
    const auto item_rows = static_cast<__int128>(items_.max_rows()) * options.shard_count;
    const auto window_rows = std::max(options.blocks.window_rows, rows_);
    const __int128 windows = item_rows / window_rows + 2;
    const __int128 window = window_rows / rows_ + 2;
    const __int128 pieces = windows * window + std::min<__int128>(window / 8, kMostSpare);
    needed_together_ = static_cast<int64_t>(std::min<__int128>(pieces, kEndless));
    return;
  }
  if (in_order_) {
    const Plan& plan = items_.plan();
    const int64_t batches = plan.batches();
    epoch_rows_ = batches == 0 ? 0 : PlaceOf(batches - 1) + plan.BatchRows(batches - 1);
    rows_ = std::clamp<int64_t>(piece_bytes / std::max<int64_t>(row_bytes, 1), 1,
                                std::max<int64_t>(epoch_rows_, 1));
    epoch_pieces_ = (epoch_rows_ + rows_ - 1) / rows_;
    const int64_t epochs = items_.run().epochs;
    if (epochs < 0 || __builtin_mul_overflow(epochs, epoch_pieces_, &pieces_)) pieces_ = kEndless;
    needed_together_ = items_.max_rows() / rows_ + 2;
    return;
  }
  const int64_t most = std::max<int64_t>(items_.max_rows(), 1);
  rows_ = std::clamp<int64_t>(piece_bytes / std::max<int64_t>(row_bytes, 1), 1, most);
  pieces_per_item_ = (most - 1) / rows_ + 1;
  if (items_.items() < 0 || __builtin_mul_overflow(items_.items(), pieces_per_item_, &pieces_))
    pieces_ = kEndless;
}

int64_t PiecePlan::FirstOf(int64_t item) const {
  if (by_blocks()) return schedule_.FirstUnitOf(item);
  if (in_order_ && items_.Has(item)) {
    const Item which = items_.At(item);
    return EpochStart(which) + PlaceOf(which.batch) / rows_;
  }
  return items_.Has(item) ? item * pieces_per_item_ : pieces_;
}

int64_t PiecePlan::EndOf(int64_t item) const {
  if (by_blocks()) return schedule_.EndUnitOf(item);
  if (in_order_ && items_.Has(item)) {
    const Item which = items_.At(item);
    const int64_t first = PlaceOf(which.batch);
    const int64_t last = std::max(first, first + items_.RowCount(which) - 1);
    return EpochStart(which) + std::min(last / rows_ + 1, epoch_pieces_);
  }
  return items_.Has(item) ? (item + 1) * pieces_per_item_ : pieces_;
}

int64_t PiecePlan::PieceAt(int64_t item, int64_t place) const {
  return item * pieces_per_item_ + place / rows_;
}

void PiecePlan::ListRows(int64_t piece, std::vector<int64_t>* rows) const {
  const Item item = items_.At(piece / pieces_per_item_);
  const int64_t first = piece % pieces_per_item_ * rows_;
  const int64_t count = std::clamp<int64_t>(items_.RowCount(item) - first, 0, rows_);
  rows->resize(static_cast<size_t>(count));
  if (count > 0) items_.Fill(item, first, *rows);
}

int64_t PiecePlan::EpochStart(const Item& item) const {
  return static_cast<int64_t>(item.epoch - items_.run().start_epoch) * epoch_pieces_;
}

int64_t PiecePlan::PlaceOf(int64_t batch) const {
  return batch * items_.plan().options().batch_size;
}

int64_t PiecePlan::ItemsOf(int64_t pieces) const {
  const Plan::Options& options = items_.plan().options();
  // Of a block, each worker has its part.
  const auto item_rows =
      static_cast<__int128>(options.batch_size) * (in_order_ ? 1 : options.shard_count);
  const __int128 items = static_cast<__int128>(rows_) * pieces / item_rows;
  return static_cast<int64_t>(std::clamp<__int128>(items, 1, kEndless));
}

void PiecePlan::ListInOrder(int64_t piece, std::vector<RowStretch>* rows) const {
  const Plan& plan = items_.plan();
  int64_t place = piece % epoch_pieces_ * rows_;
  const int64_t end = std::min(place + rows_, epoch_rows_);
  while (place < end) {
    const int64_t batch = place / plan.options().batch_size;
    const int64_t within = place - PlaceOf(batch);
    const int64_t count = std::min(end - place, plan.BatchRows(batch) - within);
    const int64_t row = plan.selection().start + plan.FirstPosition(batch) + within;
    if (!rows->empty() && rows->back().first + rows->back().rows == row) {
      rows->back().rows += count;
    } else {
      rows->push_back({row, count});
    }
    place += count;
  }
}

void PiecePlan::ListStretches(int64_t piece, std::vector<RowStretch>* rows) const {
  rows->clear();
  if (in_order_) return ListInOrder(piece, rows);
  std::vector<RowStretch> some;
  int64_t next = 0;
  for (bool more = true; more;) {
    more = schedule_.Rows(piece, &next, &some);
    rows->insert(rows->end(), some.begin(), some.end());
  }
}

}  // namespace npyfast
