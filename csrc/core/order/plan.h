#ifndef NPYFAST_CORE_ORDER_PLAN_H_
#define NPYFAST_CORE_ORDER_PLAN_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/order/block_order.h"
#include "core/order/order.h"

namespace npyfast {

// The epoch whose order splits an array: no training comes to it.
inline constexpr uint64_t kSplitEpoch = std::numeric_limits<uint64_t>::max();

// Which rows of an array take part: all of them, every step-th, a list, or a part of a split.
struct Selection {
  int64_t start = 0;
  int64_t step = 1;
  int64_t size = 0;
  // If not null: the row numbers, `size` of them. Its deleter may run on any thread.
  std::shared_ptr<const int64_t[]> list = nullptr;
  // If any: start, start + step, ... are not rows but positions of this order of all rows. Never
  // together with a list.
  std::optional<Order> order = std::nullopt;

  // Replaces positions of the selection by their rows. REQUIRES: each is in [0, size).
  void Map(std::span<int64_t> positions) const;
  // Whether rows at later positions lie later in the array.
  bool ascending() const { return list == nullptr && !order && step > 0; }
};

// Which rows make up each batch of each epoch: a pure function, the same in every process.
//
// Without shuffling, position p of an epoch is row p of the selection; with it, row order(p), of an
// Order or a BlockOrder.
// Global batch b is positions [b * G, (b + 1) * G) with G = shard_count * batch_size, and worker i
// has the i-th batch_size of them. A last, short global batch of r positions is divided as evenly
// as it goes: worker i has [r * i / shard_count, r * (i + 1) / shard_count). Immutable and
// thread-safe.
class Plan {
 public:
  struct Options {
    int64_t batch_size = 1;
    bool shuffle = false;
    uint64_t seed = 0;
    BlockSizes blocks = {};  // no block_rows: shuffled in full
    int64_t shard_index = 0;
    int64_t shard_count = 1;
    bool drop_remainder = false;
  };

  // REQUIRES: batch_size >= 1; 0 <= shard_index < shard_count; the product of batch_size and
  // shard_count fits in 62 bits; the selection's rows are in range; blocks of block_rows >= 1 have
  // window_rows >= 1.
  Plan(const Selection& selection, const Options& options);

  // Batches of one epoch, the same for every worker.
  int64_t batches() const { return batches_; }
  // Of these, the first so many have batch_size rows; there is at most one more.
  int64_t full_batches() const { return full_batches_; }
  const Options& options() const { return options_; }
  const Selection& selection() const { return selection_; }

  // The place in the epoch's order of a batch's first row, for this worker. REQUIRES: 0 <= batch <
  // batches().
  int64_t FirstPosition(int64_t batch) const;

  // Rows of one batch. REQUIRES: 0 <= batch < batches().
  int64_t BatchRows(int64_t batch) const;
  // Writes the row numbers of a batch. REQUIRES: rows.size() == BatchRows(batch).
  void Fill(uint64_t epoch, int64_t batch, std::span<int64_t> rows) const {
    Fill(epoch, batch, 0, rows);
  }
  // Writes the numbers of the rows [first, first + rows.size()) of a batch.
  void Fill(uint64_t epoch, int64_t batch, int64_t first, std::span<int64_t> rows) const;

 private:
  Selection selection_;
  Options options_;
  int64_t global_batch_;  // positions that the workers' batches of one number take together
  int64_t full_batches_;
  int64_t batches_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_ORDER_PLAN_H_
