#ifndef NPYFAST_CORE_READAHEAD_READ_SCHEDULE_H_
#define NPYFAST_CORE_READAHEAD_READ_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "core/order/item_plan.h"
#include "core/readahead/file_ranges.h"

namespace npyfast {

// What must be read for the items of a run, in units that are read one after the other. A unit is
// the rows of one item; or, if rows are shuffled by blocks, a block, which the items of its window
// share.
//
// Units are numbered from the run's first epoch on. Immutable and thread-safe.
class ReadSchedule {
 public:
  // `row_bytes`: of all leaves together.
  ReadSchedule(const ItemPlan& items, int64_t row_bytes);

  bool by_blocks() const { return slots_ > 0; }
  // Whether rows are needed in the order in which they lie in the files, once an epoch.
  bool in_file_order() const;

  // Units of the run; INT64_MAX if it is endless.
  int64_t units() const { return units_; }
  // An item is made of the units [FirstUnitOf(item), EndUnitOf(item)). Neither falls from one item
  // to the next. For items from the end on, both are units().
  int64_t FirstUnitOf(int64_t item) const;
  int64_t EndUnitOf(int64_t item) const;
  // With blocks: the end of what should be read when an item is being made. It is a window, and at
  // most an eighth of one, further than the place of the item, so that the next window is there
  // when this one ends.
  int64_t AheadOf(int64_t item) const;

  // The rows of a unit, piece by piece, because a unit may hold all rows of an array: some rows
  // from its *next-th one on. Advances *next past them, and returns whether there are more.
  bool Rows(int64_t unit, int64_t* next, std::vector<RowStretch>* rows) const;

 private:
  // The slots of the item's window, or of the item's own place.
  struct Slots {
    int64_t epoch_start;  // unit of the epoch's first slot
    int64_t place, first, end;
  };
  Slots SlotsOf(int64_t item) const;
  // Rows at consecutive positions of the selection, up to `count` of them; returns how many.
  int64_t Select(int64_t position, int64_t count, std::vector<RowStretch>* rows) const;

  const ItemPlan items_;
  int64_t slots_ = 0;  // of an epoch
  int64_t units_;
  int64_t most_rows_;  // of a piece, if they are consecutive
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READ_SCHEDULE_H_
