#include "core/gather.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/errors.h"
#include "core/thread_pool.h"

namespace npyfast {
namespace {

// Rows whose sources are looked up at once: few enough for their addresses, and the cache lines
// that a strided copy goes round, to stay in the first-level cache.
constexpr size_t kBlockRows = 256;

// A batch of this size has left the cache before anybody reads it.
constexpr int64_t kPastCacheFrom = 16 << 20;

bool SameLayout(const std::vector<Column>& a, const std::vector<Column>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].chunk_bytes != b[i].chunk_bytes || a[i].axes.size() != b[i].axes.size()) return false;
    for (size_t k = 0; k < a[i].axes.size(); ++k) {
      if (a[i].axes[k].count != b[i].axes[k].count || a[i].axes[k].stride != b[i].axes[k].stride)
        return false;
    }
  }
  return true;
}

}  // namespace

void ResolveRows(std::span<const int64_t> rows, int64_t array_rows, std::span<int64_t> out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = rows[i] < 0 ? rows[i] + array_rows : rows[i];
    if (row < 0 || row >= array_rows) {
      throw IndexError("row " + std::to_string(rows[i]) + " is out of range for " +
                       std::to_string(array_rows) + " rows");
    }
    out[i] = row;
  }
}

Gather::Gather(std::shared_ptr<const Array> array, Fields fields, Reading reading)
    : array_(std::move(array)), by_row_(reading == Reading::kByRow && array_->has_dense_rows()) {
  if (by_row_) array_->ExpectSingleRows();
  // An array without rows has no shard, yet its columns are asked for.
  const std::vector<int64_t> no_strides(array_->row_shape().size(), 0);
  for (const Column& column :
       MakeColumns(array_->dtype(), array_->row_shape(), no_strides, fields)) {
    row_bytes_.push_back(column.row_bytes);
    total_row_bytes_ += column.row_bytes;
  }
  for (const Shard& shard : array_->shards()) {
    std::vector<Column> columns =
        MakeColumns(array_->dtype(), array_->row_shape(), shard.strides, fields);
    if (layouts_.empty() || !SameLayout(layouts_.back(), columns))
      layouts_.push_back(std::move(columns));
    layout_of_shard_.push_back(layouts_.size() - 1);
  }
}

Stores Gather::StoresFor(int64_t rows) const {
  const int64_t bytes = total_row_bytes_ * rows;
  return bytes >= kPastCacheFrom ? Stores::kPastCache : Stores::kCached;
}

void Gather::Rows(std::span<const int64_t> rows, std::byte* const* out) const {
  Rows(rows, out, StoresFor(std::ssize(rows)));
}

void Gather::Rows(std::span<const int64_t> rows, std::byte* const* out, Stores stores) const {
  if (rows.empty()) return;
  if (by_row_) array_->StartReading(rows);
  const std::vector<Shard>& shards = array_->shards();
  std::array<const std::byte*, kBlockRows> sources;
  std::vector<std::byte*> slots(out, out + columns());
  size_t filled = 0;
  size_t layout = layout_of_shard_[0];
  const auto flush = [&] {
    for (size_t c = 0; c < columns(); ++c) {
      CopyColumn(layouts_[layout][c], sources.data(), filled, slots[c], stores);
      slots[c] += row_bytes_[c] * static_cast<int64_t>(filled);
    }
    filled = 0;
  };
  size_t s = 0;
  for (const int64_t row : rows) {
    if (shards.size() > 1) {
      s = array_->ShardOf(row);
      if (layout_of_shard_[s] != layout) {
        flush();
        layout = layout_of_shard_[s];
      }
    }
    sources[filled++] = shards[s].data + (row - shards[s].first_row) * shards[s].row_stride;
    if (filled == kBlockRows) flush();
  }
  flush();
  if (stores == Stores::kPastCache) FinishStores();
}

void Gather::RowsParallel(std::span<const int64_t> rows, std::byte* const* out, int threads) const {
  const int64_t bytes = total_row_bytes_ * static_cast<int64_t>(rows.size());
  const int64_t parts = std::min(
      {static_cast<int64_t>(threads), bytes / kBytesPerThread, static_cast<int64_t>(rows.size())});
  if (parts <= 1) return Rows(rows, out);
  const Stores stores = StoresFor(std::ssize(rows));
  ThreadPool::Shared().ParallelFor(static_cast<int>(parts), [&](int part) {
    const size_t first = rows.size() * static_cast<size_t>(part) / static_cast<size_t>(parts);
    const size_t last = rows.size() * static_cast<size_t>(part + 1) / static_cast<size_t>(parts);
    std::vector<std::byte*> slots(out, out + columns());
    for (size_t c = 0; c < columns(); ++c) slots[c] += row_bytes_[c] * static_cast<int64_t>(first);
    Rows(rows.subspan(first, last - first), slots.data(), stores);
  });
}

}  // namespace npyfast
