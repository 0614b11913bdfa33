#ifndef NPYFAST_CORE_GATHER_BATCH_BUILDER_H_
#define NPYFAST_CORE_GATHER_BATCH_BUILDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/base/errors.h"
#include "core/gather/gather.h"
#include "core/gather/rows_ahead.h"
#include "core/order/item_plan.h"
#include "core/os/buffer_pool.h"

namespace npyfast {

// A finished item: a dense array for each column of each leaf, in the order of the leaves.
struct Batch {
  int64_t rows = 0;
  int64_t batches = 1;  // in these rows, one after the other
  std::vector<Buffer> columns;
};

// How making an item is stopped when nobody wants it any more.
struct Stop {
  const std::atomic<bool>* asked = nullptr;  // null: never
  int64_t rows = 4096;                       // copied between two looks, at most
};

// Thrown when making an item was stopped.
class Stopped : public Error {
 public:
  Stopped() : Error("stopped") {}
};

// Makes any item of a run, given its number: see ItemPlan. Immutable and thread-safe.
class BatchBuilder {
 public:
  // REQUIRES: what ItemPlan() requires; all leaves have the plan's rows.
  BatchBuilder(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan, const Run& run);
  virtual ~BatchBuilder() = default;

  BatchBuilder(const BatchBuilder&) = delete;
  BatchBuilder& operator=(const BatchBuilder&) = delete;

  const std::vector<std::shared_ptr<const Gather>>& leaves() const { return leaves_; }
  const ItemPlan& item_plan() const { return item_plan_; }
  const Plan& plan() const { return item_plan_.plan(); }
  // Items of the run; -1: endless, or more than can be counted.
  int64_t items() const { return item_plan_.items(); }
  // Bytes of the largest item; more than any memory holds if they cannot be counted.
  int64_t item_bytes() const { return item_bytes_; }
  // Bytes of a row of all leaves together, in the output.
  int64_t row_bytes() const { return row_bytes_; }

  // Items are made in parts of about the same number of rows, which several threads may make at
  // once. Returns how many parts `threads` threads should make: one, unless items are large.
  int Parts(int threads) const;
  // Memory for an item. REQUIRES, here and below: item >= 0; item_plan().Has(item).
  // Throws std::bad_alloc.
  Batch Allocate(int64_t item) const;
  // Writes one part of an item, and releases its rows that were read ahead, if any were. REQUIRES:
  // 0 <= part < parts; batch is Allocate(item).
  // Throws std::bad_alloc, Stopped, and what Gather::Rows() and RowsAhead::Await() throw. Virtual
  // so that tests can inject delays and failures.
  virtual void Fill(int64_t item, int part, int parts, const Batch& batch, const Stop& stop,
                    RowsAhead* ahead) const;
  // All of an item.
  Batch Make(int64_t item, const Stop& stop = {}, RowsAhead* ahead = nullptr) const;
  // One batch of an item by itself, for when another batch of it cannot be made.
  // REQUIRES: 0 <= batch < item_plan().At(item).batches.
  Batch MakeBatch(int64_t item, int64_t batch, const Stop& stop) const;

 private:
  // Rows that were read ahead, if any were, by the number of their item.
  struct Ahead {
    RowsAhead* rows = nullptr;
    int64_t item = 0;
  };

  Batch AllocateItem(const Item& item) const;
  // Writes the rows [begin, end) of an item, piece by piece.
  void FillRows(const Item& item, int64_t begin, int64_t end, const Batch& batch, const Stop& stop,
                const Ahead& ahead) const;
  void FillPiece(const Item& item, int64_t begin, int64_t end, const Batch& batch,
                 const Ahead& ahead) const;

  std::vector<std::shared_ptr<const Gather>> leaves_;
  const ItemPlan item_plan_;
  int64_t row_bytes_ = 0;
  int64_t item_bytes_;
  int64_t rows_at_once_;  // between two looks at Stop, at most
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_BATCH_BUILDER_H_
