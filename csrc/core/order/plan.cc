#include "core/order/plan.h"

#include <algorithm>
#include <numeric>

#include "core/order/order.h"

namespace npyfast {
namespace {

// r * i / n without the overflow of r * i. REQUIRES: 0 <= r, 0 <= i <= n.
int64_t Share(int64_t r, int64_t i, int64_t n) {
  return static_cast<int64_t>(static_cast<__int128>(r) * i / n);
}

}  // namespace

void Selection::Map(std::span<int64_t> positions) const {
  if (list != nullptr) {
    for (int64_t& row : positions) row = list.get()[row];
    return;
  }
  if (start != 0 || step != 1) {
    for (int64_t& row : positions) row = start + row * step;
  }
  if (order) order->Map(positions);
}

Plan::Plan(const Selection& selection, const Options& options)
    : selection_(selection),
      options_(options),
      global_batch_(options.batch_size * options.shard_count),
      full_batches_(selection.size / global_batch_),
      batches_(full_batches_ +
               (!options.drop_remainder && selection.size % global_batch_ > 0 ? 1 : 0)) {}

int64_t Plan::FirstPosition(int64_t batch) const {
  const int64_t first = batch * global_batch_;
  if (batch < full_batches_) return first + options_.shard_index * options_.batch_size;
  return first + Share(selection_.size - first, options_.shard_index, options_.shard_count);
}

int64_t Plan::BatchRows(int64_t batch) const {
  if (batch < full_batches_) return options_.batch_size;
  const int64_t rest = selection_.size - batch * global_batch_;
  return Share(rest, options_.shard_index + 1, options_.shard_count) -
         Share(rest, options_.shard_index, options_.shard_count);
}

void Plan::Fill(uint64_t epoch, int64_t batch, int64_t first, std::span<int64_t> rows) const {
  first += FirstPosition(batch);
  const auto size = static_cast<uint64_t>(selection_.size);
  const auto position = static_cast<uint64_t>(first);
  if (options_.shuffle && options_.blocks.block_rows > 0) {
    BlockOrder(size, options_.seed, epoch, options_.blocks).Fill(position, rows);
  } else if (options_.shuffle) {
    Order(size, options_.seed, epoch).Fill(position, rows);
  } else {
    std::iota(rows.begin(), rows.end(), first);
  }
  selection_.Map(rows);
}

}  // namespace npyfast
