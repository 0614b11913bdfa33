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
// Items share pieces if rows are shuffled by blocks, when a piece is a block of a window; and if
// they follow one another in the file, when pieces are large, whatever the size of a batch:
//
//   item    |  0  |  1  |  2  |  3  |  4  |  5  |
//   piece   |        0        |        1        |
//
// Immutable and thread-safe.
class PiecePlan {
 public:
  // `row_bytes`: read for a row of all leaves together. `piece_bytes`: of a piece, about; blocks
  // are what they are.
  PiecePlan(const ItemPlan& items, int64_t row_bytes, int64_t piece_bytes);

  // Whether items share pieces.
  bool shared() const { return by_blocks() || in_order_; }
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
  // REQUIRES, for these: not shared().
  int64_t PieceAt(int64_t item, int64_t place) const;
  int64_t EndPlace(int64_t place) const { return (place / rows_ + 1) * rows_; }
  // The numbers of a piece's rows, in the order of their item. There may be none.
  void ListRows(int64_t piece, std::vector<int64_t>* rows) const;

  // The rows of a piece. REQUIRES: shared(); rows follow one another in the selection.
  void ListStretches(int64_t piece, std::vector<RowStretch>* rows) const;
  // How many items are made of `pieces` pieces, about; at least 1. REQUIRES: shared().
  int64_t ItemsOf(int64_t pieces) const;

 private:
  bool by_blocks() const { return schedule_.by_blocks(); }
  // In the order of the file: the run's piece at which an epoch starts, and the place of a batch
  // among this worker's rows of an epoch.
  int64_t EpochStart(const Item& item) const;
  int64_t PlaceOf(int64_t batch) const;
  void ListInOrder(int64_t piece, std::vector<RowStretch>* rows) const;

  const ItemPlan items_;
  const ReadSchedule schedule_;
  const bool in_order_;
  int64_t epoch_rows_ = 0;    // of this worker, if in_order_
  int64_t epoch_pieces_ = 0;  // the same
  int64_t rows_;
  int64_t pieces_per_item_ = 1;
  int64_t pieces_;
  int64_t needed_together_ = 1;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_PIECE_PLAN_H_
