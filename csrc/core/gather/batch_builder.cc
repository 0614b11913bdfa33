#include "core/gather/batch_builder.h"

#include <algorithm>
#include <bit>
#include <new>
#include <span>
#include <utility>

#include "core/os/per_thread.h"

namespace npyfast {
namespace {

// Copied from one look at whether to stop to the next: some milliseconds, where data is in memory.
constexpr int64_t kBytesAtOnce = 8 << 20;

// Kept by each thread: fresh vectors for every batch would cost more than a small batch does.
struct Scratch {
  std::vector<int64_t> rows;
  std::vector<std::byte*> out;
};

}  // namespace

BatchBuilder::BatchBuilder(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan,
                           const Run& run)
    : leaves_(std::move(leaves)), plan_(plan), run_(run) {
  const int64_t full = std::max<int64_t>(plan_.full_batches() - run.start_batch, 0);
  first_items_ = FullItems(full, true) + ShortItems(run.start_batch);
  pass_items_ = FullItems(plan_.full_batches(), false) + ShortItems(0);
  if (pass_items_ == 0 || run.epochs == 0) {
    items_ = 0;
  } else if (run.epochs < 0 || __builtin_mul_overflow(run.epochs - 1, pass_items_, &items_) ||
             __builtin_add_overflow(items_, first_items_, &items_)) {
    items_ = -1;
  }
  // batch_size alone says little: it may be larger than the array.
  int64_t rows = plan_.options().batch_size * std::min(run_.group, plan_.full_batches());
  if (plan_.batches() > plan_.full_batches())
    rows = std::max(rows, plan_.BatchRows(plan_.full_batches()));
  item_bytes_ = BytesOfRows(rows, row_bytes());
  rows_at_once_ = std::max<int64_t>(kBytesAtOnce / std::max<int64_t>(row_bytes(), 1), 1);
  for (const auto& leaf : leaves_)
    if (leaf->array()->row_files() != nullptr) rows_at_once_ = 1;  // each is waited for
}

int64_t BatchBuilder::FullItems(int64_t full_batches, bool growing) const {
  if (growing && full_batches <= GrowingBatches())
    return static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(full_batches)));
  const int64_t items = growing ? GrowingItems() : 0;
  const int64_t rest = growing ? full_batches - GrowingBatches() : full_batches;
  return items + rest / run_.group + (rest % run_.group > 0 ? 1 : 0);
}

int64_t BatchBuilder::ShortItems(int64_t batch) const {
  return plan_.batches() - std::max(batch, plan_.full_batches());
}

BatchBuilder::Place BatchBuilder::PlaceOf(int64_t item) const {
  uint64_t epoch = run_.start_epoch;
  int64_t batch;
  int64_t size = run_.group;
  if (item < first_items_) {
    if (item < GrowingItems()) {
      size = int64_t{1} << item;
      batch = run_.start_batch + size - 1;
    } else {
      batch = run_.start_batch + GrowingBatches() + (item - GrowingItems()) * size;
    }
    // Behind the last full batch comes the short one, whatever the size of the items before it.
    if (item == first_items_ - 1 && ShortItems(run_.start_batch) > 0) batch = plan_.full_batches();
  } else {
    item -= first_items_;
    epoch += 1 + static_cast<uint64_t>(item / pass_items_);
    batch = item % pass_items_ * size;
  }
  if (batch >= plan_.full_batches()) return {epoch, plan_.full_batches(), 1};
  return {epoch, batch, std::min(size, plan_.full_batches() - batch)};
}

int64_t BatchBuilder::RowsAt(const Place& place) const {
  int64_t rows = 0;
  for (int64_t i = 0; i < place.batches; ++i) rows += plan_.BatchRows(place.batch + i);
  return rows;
}

int BatchBuilder::Parts(int threads) const {
  const int64_t worthwhile = std::max<int64_t>(item_bytes_ / Gather::kBytesPerThread, 1);
  return static_cast<int>(std::min<int64_t>(threads, worthwhile));
}

Batch BatchBuilder::Allocate(int64_t item) const { return AllocateAt(PlaceOf(item)); }

Batch BatchBuilder::AllocateAt(const Place& place) const {
  Batch batch;
  batch.rows = RowsAt(place);
  for (const auto& leaf : leaves_) {
    for (size_t c = 0; c < leaf->columns(); ++c) {
      batch.columns.push_back(AcquireRows(batch.rows, leaf->row_bytes(c)));
    }
  }
  return batch;
}

void BatchBuilder::Fill(int64_t item, int part, int parts, const Batch& batch,
                        const Stop& stop) const {
  FillRows(PlaceOf(item), batch.rows * part / parts, batch.rows * (part + 1) / parts, batch, stop);
}

void BatchBuilder::FillRows(const Place& place, int64_t begin, int64_t end, const Batch& batch,
                            const Stop& stop) const {
  const int64_t most = std::min(stop.rows, rows_at_once_);
  while (begin < end) {
    if (stop.asked != nullptr && stop.asked->load(std::memory_order_relaxed)) throw Stopped();
    const int64_t piece = std::min(most, end - begin);
    FillPiece(place, begin, begin + piece, batch);
    begin += piece;
  }
}

void BatchBuilder::FillPiece(const Place& place, int64_t begin, int64_t end,
                             const Batch& batch) const {
  auto& [rows, out] = PerThread<Scratch, BatchBuilder>::Get();
  rows.resize(static_cast<size_t>(end - begin));
  RowsOf(place, begin, rows);
  auto column = batch.columns.begin();
  for (const auto& leaf : leaves_) {
    out.clear();
    for (size_t c = 0; c < leaf->columns(); ++c, ++column)
      out.push_back(column->get() + leaf->row_bytes(c) * begin);
    leaf->Rows(rows, out.data(), leaf->StoresFor(batch.rows));
  }
}

void BatchBuilder::RowsOf(const Place& place, int64_t begin, std::span<int64_t> rows) const {
  const int64_t end = begin + std::ssize(rows);
  for (int64_t i = 0, first = 0; i < place.batches && first < end; ++i) {
    // What batch i, rows [first, last) of what lies there, has in this part.
    const int64_t last = first + plan_.BatchRows(place.batch + i);
    const int64_t from = std::max(first, begin);
    const int64_t to = std::min(last, end);
    if (from < to) {
      plan_.Rows(place.epoch, place.batch + i, from - first,
                 rows.subspan(static_cast<size_t>(from - begin), static_cast<size_t>(to - from)));
    }
    first = last;
  }
}

int64_t BatchBuilder::row_bytes() const {
  int64_t bytes = 0;
  for (const auto& leaf : leaves_) bytes = BytesTogether(bytes, leaf->row_bytes());
  return bytes;
}

Batch BatchBuilder::Make(int64_t item, const Stop& stop) const {
  Batch batch = Allocate(item);
  Fill(item, 0, 1, batch, stop);
  return batch;
}

Batch BatchBuilder::MakeBatch(int64_t item, int64_t batch, const Stop& stop) const {
  Place place = PlaceOf(item);
  place.batch += batch;
  place.batches = 1;
  Batch made = AllocateAt(place);
  FillRows(place, 0, made.rows, made, stop);
  return made;
}

}  // namespace npyfast
