#ifndef NPYFAST_CORE_ORDER_ITEM_PLAN_H_
#define NPYFAST_CORE_ORDER_ITEM_PLAN_H_

#include <cstdint>
#include <span>

#include "core/order/plan.h"

namespace npyfast {

// Which epochs of a plan one iteration goes through: `epochs` of them from `start_epoch` on, the
// first from batch `start_batch` on.
struct Run {
  uint64_t start_epoch = 0;
  int64_t start_batch = 0;
  int64_t epochs = 1;  // negative: endless
  int64_t group = 1;   // the most batches in one item

  // Batches of the run; -1: endless, or more than can be counted.
  int64_t Batches(const Plan& plan) const;
  // What is left of the run after its first `batches` batches. REQUIRES: the plan has batches, and
  // 0 <= batches <= Batches(plan) unless the run is endless.
  Run After(const Plan& plan, int64_t batches) const;
};

// Consecutive batches of one epoch, made and delivered together.
struct Item {
  uint64_t epoch = 0;
  int64_t batch = 0;  // the first of them
  int64_t batches = 1;

  bool operator==(const Item&) const = default;
};

// Which batches and rows item i of a run holds: a pure function of i.
//
// An item is one batch; or, where `group` is larger than one, up to that many full batches of one
// epoch. The short last batch of an epoch is always an item of its own. The first items of a run
// hold 1, 2, 4 ... batches until they reach the group, so that the first batch of a slow disk does
// not wait for a whole group.
//
// 11 rows in batches of 2 are five full batches and a short one. Two epochs of them in groups of 3,
// not shuffled:
//
//   item | epoch | batches | rows        |
//   -----|-------|---------|-------------|----------------------------------
//      0 |     0 | 0       | 0 1         | the first item is one batch
//      1 |     0 | 1 2     | 2 3 4 5     | the second is two
//      2 |     0 | 3 4     | 6 7 8 9     | up to three: the epoch has no more
//      3 |     0 | 5       | 10          | the short batch, by itself
//      4 |     1 | 0 1 2   | 0 1 2 3 4 5 | items have grown
//      5 |     1 | 3 4     | 6 7 8 9     |
//      6 |     1 | 5       | 10          |
//
// The same from batch 4 of epoch 0 on: items 0 and 1 are batches 4 and 5, item 2 is batches 0, 1
// and 2 of epoch 1. Immutable and thread-safe.
class ItemPlan {
 public:
  // REQUIRES: 0 <= run.start_batch <= plan.batches(); run.group >= 1.
  ItemPlan(const Plan& plan, const Run& run);

  const Plan& plan() const { return plan_; }
  const Run& run() const { return run_; }

  // Items of the run; -1: endless, or more than can be counted.
  int64_t items() const { return items_; }
  bool Has(int64_t item) const { return items_ < 0 || item < items_; }
  // Rows of the largest item.
  int64_t max_rows() const;

  // REQUIRES: item >= 0; Has(item).
  Item At(int64_t item) const;
  int64_t RowCount(const Item& item) const;
  // Writes the row numbers of an item from its `first`-th row on. REQUIRES: 0 <= first; first +
  // rows.size() <= RowCount(item).
  void Fill(const Item& item, int64_t first, std::span<int64_t> rows) const;

 private:
  // The items that grow, and the batches that they hold together.
  int64_t GrowingItems() const;
  int64_t GrowingBatches() const;
  // Items that `full_batches` full batches make: at the beginning of the run they grow.
  int64_t FullItems(int64_t full_batches, bool growing) const;
  // 1 if an epoch that is read from `batch` on ends with a short batch, else 0.
  int64_t ShortItems(int64_t batch) const;

  Plan plan_;
  Run run_;
  int64_t first_epoch_items_;  // the first epoch may begin in its middle
  int64_t epoch_items_;        // of every other epoch
  int64_t items_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_ORDER_ITEM_PLAN_H_
