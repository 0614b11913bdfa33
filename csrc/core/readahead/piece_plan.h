#ifndef NPYFAST_CORE_READAHEAD_PIECE_PLAN_H_
#define NPYFAST_CORE_READAHEAD_PIECE_PLAN_H_

#include <cstdint>
#include <vector>

#include "core/order/item_plan.h"
#include "core/readahead/file_ranges.h"
#include "core/readahead/read_schedule.h"

namespace npyfast {

// The rows of a run in pieces that are read, kept and released together, numbered in the order in
// which they are needed. Items of 70 rows in pieces of at most 32:
//
//   item    |        0         |        1         |
//   piece   |  0  |  1  |  2   |  3  |  4  |  5   |
//   places  | 0.. | 32..| 64.. | 0.. | 32..| 64.. |
//
// If rows are shuffled by blocks, a piece is a block, which the items of its window share.
// Immutable and thread-safe.
class PiecePlan {
 public:
  // `row_bytes`: read for a row of all leaves together. `piece_bytes`: of a piece, about; blocks
  // are what they are.
  PiecePlan(const ItemPlan& items, int64_t row_bytes, int64_t piece_bytes);

  bool by_blocks() const { return schedule_.by_blocks(); }
  // Pieces of the run; INT64_MAX if it is endless.
  int64_t pieces() const { return pieces_; }
  // The most rows of a piece.
  int64_t most_rows() const { return rows_; }
  // So many consecutive pieces must be in memory at once for any item to be made.
  int64_t needed_together() const { return needed_together_; }

  // An item is made of the pieces [FirstOf(item), EndOf(item)). For items from the end on, both are
  // pieces().
  int64_t FirstOf(int64_t item) const;
  int64_t EndOf(int64_t item) const;

  // The piece of the row at a place of an item, and the place after the last row of that piece.
  // REQUIRES, for these: not by_blocks().
  int64_t PieceAt(int64_t item, int64_t place) const;
  int64_t EndPlace(int64_t place) const { return (place / rows_ + 1) * rows_; }
  // The numbers of a piece's rows, in the order of their item. There may be none.
  void ListRows(int64_t piece, std::vector<int64_t>* rows) const;

  // The rows of a block. REQUIRES: by_blocks(); rows follow one another in the selection.
  void BlockRows(int64_t piece, std::vector<RowStretch>* rows) const;

 private:
  const ItemPlan items_;
  const ReadSchedule schedule_;
  int64_t rows_;
  int64_t pieces_per_item_ = 1;
  int64_t pieces_;
  int64_t needed_together_ = 1;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_PIECE_PLAN_H_
