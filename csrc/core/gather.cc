#include "core/gather.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/errors.h"
#include "core/guard.h"
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

// What is copied at once.
struct Block {
  const Column* layout;  // of each column
  size_t columns;
  const std::byte* const* sources;
  size_t rows;
  std::byte* const* slots;  // of each column
  Stores stores;
};

// May be left at any place: nothing here has a destructor.
void CopyBlock(const void* context) noexcept {
  const Block& block = *static_cast<const Block*>(context);
  for (size_t c = 0; c < block.columns; ++c)
    CopyColumn(block.layout[c], block.sources, block.rows, block.slots[c], block.stores);
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

Gather::Gather(std::shared_ptr<const Array> array, Fields fields) : array_(std::move(array)) {
  // An array without rows has no shard, yet its columns are asked for.
  const std::vector<int64_t> no_strides(array_->row_shape().size(), 0);
  for (const Column& column :
       MakeColumns(array_->dtype(), array_->row_shape(), no_strides, fields)) {
    row_bytes_.push_back(column.row_bytes);
    total_row_bytes_ += column.row_bytes;
  }
  const Shard* last = nullptr;
  for (const Shard& shard : array_->shards()) {
    if (last == nullptr || shard.strides != last->strides) {  // of many shards most are alike
      std::vector<Column> columns =
          MakeColumns(array_->dtype(), array_->row_shape(), shard.strides, fields);
      if (layouts_.empty() || !SameLayout(layouts_.back(), columns))
        layouts_.push_back(std::move(columns));
    }
    layout_of_shard_.push_back(layouts_.size() - 1);
    last = &shard;
  }
  InstallGuard();
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
  const std::vector<Shard>& shards = array_->shards();
  std::array<const std::byte*, kBlockRows> sources;
  std::array<size_t, kBlockRows> tails;  // shards of which rows were copied that reach their end
  size_t tail_count = 0;
  std::vector<std::byte*> slots(out, out + columns());
  Block block{nullptr, columns(), sources.data(), 0, slots.data(), stores};
  size_t layout = layout_of_shard_[0];
  const auto flush = [&] {
    block.layout = layouts_[layout].data();
    const void* fault;
    if (!RunGuarded(CopyBlock, &block, &fault)) array_->ThrowUnreadable(fault);
    for (size_t i = 0; i < tail_count; ++i) array_->CheckTail(tails[i]);
    for (size_t c = 0; c < columns(); ++c)
      slots[c] += row_bytes_[c] * static_cast<int64_t>(block.rows);
    block.rows = tail_count = 0;
  };
  size_t s = 0;
  const std::byte* data = shards.size() == 1 ? array_->data(0) : nullptr;
  for (const int64_t row : rows) {
    if (shards.size() > 1) {
      s = array_->ShardOf(row);
      data = array_->data(s);
      if (layout_of_shard_[s] != layout) {
        flush();
        layout = layout_of_shard_[s];
      }
    }
    const int64_t in_shard = row - shards[s].first_row;
    sources[block.rows++] = data + in_shard * shards[s].row_stride;
    if (in_shard >= shards[s].tail_row && (tail_count == 0 || tails[tail_count - 1] != s))
      tails[tail_count++] = s;
    if (block.rows == kBlockRows) flush();
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
