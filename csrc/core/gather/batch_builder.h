#ifndef NPYFAST_CORE_GATHER_BATCH_BUILDER_H_
#define NPYFAST_CORE_GATHER_BATCH_BUILDER_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/base/errors.h"
#include "core/gather/gather.h"
#include "core/order/plan.h"
#include "core/os/buffer_pool.h"

namespace npyfast {

// One batch: a dense array for each column of each leaf, leaves in order.
struct Batch {
  int64_t rows = 0;
  std::vector<Buffer> columns;
};

// Whoever waits for an item may not want it any more.
struct Stop {
  const std::atomic<bool>* asked = nullptr;  // null: nobody asks for it
  // From one look to the next so many rows are copied, or fewer, if they are large.
  int64_t rows = 4096;
};

// What making an item throws where it was asked to stop.
class Stopped : public Error {
 public:
  Stopped() : Error("stopped") {}
};

// Makes any item of a run of epochs, from its number alone.
//
// A run is `epochs` passes of the plan, the first of them from batch `start_batch` on. An item is
// one batch; or, where `group` is larger than one, up to that many full batches of one epoch one
// after the other in one buffer (the short last batch of an epoch is an item of its own). The first
// items are 1, 2, 4 ... batches up to that number, so that the first batch of a slow disk does not
// wait for a whole group. Immutable and thread-safe.
class BatchBuilder {
 public:
  struct Run {
    uint64_t start_epoch = 0;
    int64_t start_batch = 0;
    int64_t epochs = 1;  // negative: endless
    int64_t group = 1;
  };

  // REQUIRES: 0 <= start_batch <= plan.batches(); group >= 1; all leaves have the
  // plan's rows.
  BatchBuilder(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan, const Run& run);
  virtual ~BatchBuilder() = default;

  BatchBuilder(const BatchBuilder&) = delete;
  BatchBuilder& operator=(const BatchBuilder&) = delete;

  // Items of the run; -1: endless, or more than can be counted.
  int64_t items() const { return items_; }
  // Bytes of the largest item, or more than any memory holds if it can't be made at all.
  int64_t item_bytes() const { return item_bytes_; }
  const Plan& plan() const { return plan_; }
  const Run& run() const { return run_; }

  // An item is made in parts of about the same number of rows, by one thread or by several at once.
  // The parts that `threads` threads should make an item in: one, unless items are large.
  int Parts(int threads) const;
  // Memory for an item. REQUIRES, here and below: 0 <= item, and item < items() unless endless.
  // Throws std::bad_alloc.
  Batch Allocate(int64_t item) const;
  // Writes one part of an item. REQUIRES: 0 <= part < parts; batch is Allocate(item).
  // Throws std::bad_alloc, Stopped, and what the rows throw. Virtual for those who make items that
  // are late, or fail.
  virtual void Fill(int64_t item, int part, int parts, const Batch& batch, const Stop& stop) const;
  // All of an item.
  Batch Make(int64_t item, const Stop& stop = {}) const;
  // One of the batches of an item alone, as where another one of them can't be made. REQUIRES:
  // 0 <= batch < PlaceOf(item).batches.
  Batch MakeBatch(int64_t item, int64_t batch, const Stop& stop) const;

  // Consecutive batches of one epoch.
  struct Place {
    uint64_t epoch;
    int64_t batch;
    int64_t batches;
  };
  // Those of an item.
  Place PlaceOf(int64_t item) const;
  // Rows of an item, and the numbers of those from the `first`-th on, in its order. REQUIRES:
  // 0 <= first; first + rows.size() <= Rows(item).
  int64_t Rows(int64_t item) const { return RowsAt(PlaceOf(item)); }
  void RowsOf(int64_t item, int64_t first, std::span<int64_t> rows) const {
    RowsOf(PlaceOf(item), first, rows);
  }
  // How many batches a made item is.
  int64_t BatchesOf(const Batch& item) const {
    return std::max<int64_t>(item.rows / plan_.options().batch_size, 1);
  }
  // Bytes of a row of all leaves together, as made.
  int64_t row_bytes() const;
  const std::vector<std::shared_ptr<const Gather>>& leaves() const { return leaves_; }

 private:
  int64_t RowsAt(const Place& place) const;
  Batch AllocateAt(const Place& place) const;
  void RowsOf(const Place& place, int64_t first, std::span<int64_t> rows) const;
  // Write the rows [begin, end) of what lies at a place: in pieces, and such a piece.
  void FillRows(const Place& place, int64_t begin, int64_t end, const Batch& batch,
                const Stop& stop) const;
  void FillPiece(const Place& place, int64_t begin, int64_t end, const Batch& batch) const;
  // The first items have 1, 2, 4 ... batches: how many such items, and their batches together.
  int GrowingItems() const {
    return static_cast<int>(std::bit_width(static_cast<uint64_t>(run_.group - 1)));
  }
  int64_t GrowingBatches() const {
    return static_cast<int64_t>((uint64_t{1} << GrowingItems()) - 1);
  }
  // Items of the full batches of a pass from its k-th full batch on, and of its short last batch.
  int64_t FullItems(int64_t full_batches, bool growing) const;
  int64_t ShortItems(int64_t batch) const;

  std::vector<std::shared_ptr<const Gather>> leaves_;
  Plan plan_;
  Run run_;
  int64_t first_items_;  // of the first pass, which may begin in its middle
  int64_t pass_items_;   // of every other pass
  int64_t items_;
  int64_t item_bytes_ = 0;
  int64_t rows_at_once_;  // from one look at Stop to the next, at most
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_BATCH_BUILDER_H_
