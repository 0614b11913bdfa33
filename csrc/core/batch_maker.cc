#include "core/batch_maker.h"

#include <algorithm>
#include <bit>
#include <new>
#include <span>
#include <utility>

namespace npyfast {
BatchMaker::BatchMaker(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan,
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
}

int64_t BatchMaker::FullItems(int64_t full_batches, bool growing) const {
  if (growing && full_batches <= GrowingBatches())
    return static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(full_batches)));
  const int64_t items = growing ? GrowingItems() : 0;
  const int64_t rest = growing ? full_batches - GrowingBatches() : full_batches;
  return items + rest / run_.group + (rest % run_.group > 0 ? 1 : 0);
}

int64_t BatchMaker::ShortItems(int64_t batch) const {
  return plan_.batches() - std::max(batch, plan_.full_batches());
}

BatchMaker::Place BatchMaker::PlaceOf(int64_t item) const {
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

int64_t BatchMaker::RowsAt(const Place& place) const {
  int64_t rows = 0;
  for (int64_t i = 0; i < place.batches; ++i) rows += plan_.BatchRows(place.batch + i);
  return rows;
}

int BatchMaker::Parts(int threads) const {
  const int64_t worthwhile = std::max<int64_t>(item_bytes_ / Gather::kBytesPerThread, 1);
  return static_cast<int>(std::min<int64_t>(threads, worthwhile));
}

Batch BatchMaker::Allocate(int64_t item) const { return AllocateAt(PlaceOf(item)); }

Batch BatchMaker::AllocateAt(const Place& place) const {
  Batch batch;
  batch.rows = RowsAt(place);
  for (const auto& leaf : leaves_) {
    for (size_t c = 0; c < leaf->columns(); ++c) {
      batch.columns.push_back(AcquireRows(batch.rows, leaf->row_bytes(c)));
    }
  }
  return batch;
}

void BatchMaker::Fill(int64_t item, int part, int parts, const Batch& batch) const {
  FillRows(PlaceOf(item), batch.rows * part / parts, batch.rows * (part + 1) / parts, batch);
}

void BatchMaker::FillRows(const Place& place, int64_t begin, int64_t end,
                          const Batch& batch) const {
  // Kept by each thread: a fresh vector for every batch would cost more than a small batch does.
  thread_local std::vector<int64_t> rows;
  thread_local std::vector<std::byte*> out;
  rows.resize(static_cast<size_t>(end - begin));
  for (int64_t i = 0, first = 0; i < place.batches; ++i) {
    // What batch i, rows [first, last) of the item, has in this part.
    const int64_t last = first + plan_.BatchRows(place.batch + i);
    const int64_t from = std::max(first, begin);
    const int64_t to = std::min(last, end);
    if (from < to) {
      plan_.Rows(place.epoch, place.batch + i, from - first,
                 std::span(rows).subspan(static_cast<size_t>(from - begin),
                                         static_cast<size_t>(to - from)));
    }
    first = last;
  }
  auto column = batch.columns.begin();
  for (const auto& leaf : leaves_) {
    out.clear();
    for (size_t c = 0; c < leaf->columns(); ++c, ++column)
      out.push_back(column->get() + leaf->row_bytes(c) * begin);
    leaf->Rows(rows, out.data(), leaf->StoresFor(batch.rows));
  }
}

void BatchMaker::CheckFiles(bool all) const {
  for (const auto& leaf : leaves_)
    if (all || leaf->array()->CheckIsDue()) leaf->array()->CheckFiles();
}

bool BatchMaker::CheckIsDue() const {
  const int64_t now = Array::CheckClock();
  for (const auto& leaf : leaves_)
    if (leaf->array()->CheckIsDue(now)) return true;
  return false;
}

int64_t BatchMaker::row_bytes() const {
  int64_t bytes = 0;
  for (const auto& leaf : leaves_) bytes = BytesTogether(bytes, leaf->row_bytes());
  return bytes;
}

void BatchMaker::RowsOf(int64_t item, std::vector<int64_t>* rows) const {
  const Place place = PlaceOf(item);
  rows->resize(static_cast<size_t>(RowsAt(place)));
  auto next = rows->begin();
  for (int64_t i = 0; i < place.batches; ++i) {
    const int64_t count = plan_.BatchRows(place.batch + i);
    plan_.Rows(place.epoch, place.batch + i, std::span(next, next + count));
    next += count;
  }
}

Batch BatchMaker::Make(int64_t item) const {
  Batch batch = Allocate(item);
  Fill(item, 0, 1, batch);
  return batch;
}

Batch BatchMaker::MakeBatch(int64_t item, int64_t batch) const {
  Place place = PlaceOf(item);
  place.batch += batch;
  place.batches = 1;
  Batch made = AllocateAt(place);
  FillRows(place, 0, made.rows, made);
  return made;
}

}  // namespace npyfast
