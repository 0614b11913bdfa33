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
    : items_(items), schedule_(items, row_bytes) {
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
  const int64_t most = std::max<int64_t>(items_.max_rows(), 1);
  rows_ = std::clamp<int64_t>(piece_bytes / std::max<int64_t>(row_bytes, 1), 1, most);
  pieces_per_item_ = (most - 1) / rows_ + 1;
  if (items_.items() < 0 || __builtin_mul_overflow(items_.items(), pieces_per_item_, &pieces_))
    pieces_ = kEndless;
}

int64_t PiecePlan::FirstOf(int64_t item) const {
  if (by_blocks()) return schedule_.FirstUnitOf(item);
  return items_.Has(item) ? item * pieces_per_item_ : pieces_;
}

int64_t PiecePlan::EndOf(int64_t item) const {
  if (by_blocks()) return schedule_.EndUnitOf(item);
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

void PiecePlan::BlockRows(int64_t piece, std::vector<RowStretch>* rows) const {
  rows->clear();
  std::vector<RowStretch> some;
  int64_t next = 0;
  for (bool more = true; more;) {
    more = schedule_.Rows(piece, &next, &some);
    rows->insert(rows->end(), some.begin(), some.end());
  }
}

}  // namespace npyfast
