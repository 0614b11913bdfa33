#include "core/gather/batch_builder.h"

#include <algorithm>
#include <new>
#include <span>
#include <utility>

#include "core/os/per_thread.h"

namespace npyfast {
namespace {

// Copied between two looks at Stop: some milliseconds, if the data is in memory.
constexpr int64_t kBytesAtOnce = 8 << 20;

// One for each thread: fresh vectors for every batch would cost more than a small batch.
struct Scratch {
  std::vector<int64_t> rows;
  std::vector<std::byte*> out;
  std::vector<const std::byte*> addresses;
};

}  // namespace

BatchBuilder::BatchBuilder(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan,
                           const Run& run)
    : leaves_(std::move(leaves)), item_plan_(plan, run) {
  for (const auto& leaf : leaves_) row_bytes_ = BytesTogether(row_bytes_, leaf->row_bytes());
  item_bytes_ = BytesOfRows(item_plan_.max_rows(), row_bytes_);
  rows_at_once_ = std::max<int64_t>(kBytesAtOnce / std::max<int64_t>(row_bytes_, 1), 1);
  for (const auto& leaf : leaves_)
    if (leaf->array()->row_files() != nullptr) rows_at_once_ = 1;  // each waits for its file
}

int BatchBuilder::Parts(int threads) const {
  const int64_t worthwhile = std::max<int64_t>(item_bytes_ / Gather::kBytesPerThread, 1);
  return static_cast<int>(std::min<int64_t>(threads, worthwhile));
}

Batch BatchBuilder::Allocate(int64_t item) const { return AllocateItem(item_plan_.At(item)); }

Batch BatchBuilder::AllocateItem(const Item& item) const {
  Batch batch;
  batch.rows = item_plan_.RowCount(item);
  batch.batches = item.batches;
  for (const auto& leaf : leaves_) {
    for (size_t c = 0; c < leaf->columns(); ++c) {
      batch.columns.push_back(AcquireRows(batch.rows, leaf->row_bytes(c)));
    }
  }
  return batch;
}

void BatchBuilder::Fill(int64_t item, int part, int parts, const Batch& batch, const Stop& stop,
                        RowsAhead* ahead) const {
  FillRows(item_plan_.At(item), batch.rows * part / parts, batch.rows * (part + 1) / parts, batch,
           stop, {ahead, item});
}

void BatchBuilder::FillRows(const Item& item, int64_t begin, int64_t end, const Batch& batch,
                            const Stop& stop, const Ahead& ahead) const {
  const int64_t most = std::min(stop.rows, rows_at_once_);
  try {
    while (begin < end) {
      if (stop.asked != nullptr && stop.asked->load(std::memory_order_relaxed)) throw Stopped();
      int64_t piece_end = begin + std::min(most, end - begin);
      if (ahead.rows != nullptr) piece_end = ahead.rows->Await(ahead.item, begin, piece_end);
      FillPiece(item, begin, piece_end, batch, ahead);
      if (ahead.rows != nullptr) ahead.rows->Release(ahead.item, begin, piece_end);
      begin = piece_end;
    }
  } catch (...) {
    if (ahead.rows != nullptr) ahead.rows->Release(ahead.item, begin, end);
    throw;
  }
}

void BatchBuilder::FillPiece(const Item& item, int64_t begin, int64_t end, const Batch& batch,
                             const Ahead& ahead) const {
  auto& [rows, out, addresses] = PerThread<Scratch, BatchBuilder>::Get();
  rows.resize(static_cast<size_t>(end - begin));
  item_plan_.Fill(item, begin, rows);
  addresses.resize(ahead.rows != nullptr ? rows.size() : 0);
  auto column = batch.columns.begin();
  for (size_t i = 0; i < leaves_.size(); ++i) {
    const auto& leaf = leaves_[i];
    out.clear();
    for (size_t c = 0; c < leaf->columns(); ++c, ++column)
      out.push_back(column->get() + leaf->row_bytes(c) * begin);
    const bool ahead_of_leaf =
        ahead.rows != nullptr && ahead.rows->Locate(ahead.item, begin, rows, i, addresses);
    leaf->Rows(rows, out.data(), leaf->StoresFor(batch.rows),
               ahead_of_leaf ? addresses.data() : nullptr);
  }
}

Batch BatchBuilder::Make(int64_t item, const Stop& stop, RowsAhead* ahead) const {
  Batch batch;
  try {
    batch = Allocate(item);
  } catch (const std::bad_alloc&) {
    if (ahead != nullptr) ahead->Release(item, 0, item_plan_.RowCount(item_plan_.At(item)));
    throw;
  }
  Fill(item, 0, 1, batch, stop, ahead);
  return batch;
}

Batch BatchBuilder::MakeBatch(int64_t item, int64_t batch, const Stop& stop) const {
  Item one = item_plan_.At(item);
  one.batch += batch;
  one.batches = 1;
  Batch made = AllocateItem(one);
  FillRows(one, 0, made.rows, made, stop, {});
  return made;
}

}  // namespace npyfast
