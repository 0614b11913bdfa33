#include "core/batch_maker.h"

#include <algorithm>
#include <new>
#include <span>
#include <utility>

namespace npyfast {
namespace {

// More than a process can address: what is larger can't be made, and need not be told apart.
constexpr int64_t kMaxItemBytes = int64_t{1} << 48;

}  // namespace

BatchMaker::BatchMaker(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan,
                       const Run& run)
    : leaves_(std::move(leaves)), plan_(plan), run_(run) {
  first_items_ = ItemsFrom(run.start_batch);
  pass_items_ = ItemsFrom(0);
  if (pass_items_ == 0 || run.epochs == 0) {
    items_ = 0;
  } else if (run.epochs < 0) {
    items_ = -1;
  } else if (__builtin_mul_overflow(run.epochs - 1, pass_items_, &items_) ||
             __builtin_add_overflow(items_, first_items_, &items_)) {
    items_ = -1;
  }
  // batch_size alone says little: it may be larger than the array.
  int64_t rows = plan_.options().batch_size * std::min(run_.group, plan_.full_batches());
  if (plan_.batches() > plan_.full_batches())
    rows = std::max(rows, plan_.BatchRows(plan_.full_batches()));
  for (const auto& leaf : leaves_) {
    int64_t bytes;
    if (__builtin_mul_overflow(rows, leaf->row_bytes(), &bytes)) bytes = kMaxItemBytes;
    item_bytes_ = std::min(item_bytes_ + std::min(bytes, kMaxItemBytes), kMaxItemBytes);
  }
}

int64_t BatchMaker::ItemsFrom(int64_t batch) const {
  const int64_t full = std::max<int64_t>(plan_.full_batches() - batch, 0);
  const int64_t last = plan_.batches() - std::max(batch, plan_.full_batches());
  return full / run_.group + (full % run_.group > 0 ? 1 : 0) + last;
}

BatchMaker::Place BatchMaker::PlaceOf(int64_t item) const {
  uint64_t epoch = run_.start_epoch;
  int64_t first = run_.start_batch;
  if (item >= first_items_) {
    item -= first_items_;
    epoch += 1 + static_cast<uint64_t>(item / pass_items_);
    item %= pass_items_;
    first = 0;
  }
  const int64_t batch = first + item * run_.group;
  if (batch >= plan_.full_batches()) return {epoch, plan_.full_batches(), 1};
  return {epoch, batch, std::min(run_.group, plan_.full_batches() - batch)};
}

Batch BatchMaker::Make(int64_t item) const {
  const Place place = PlaceOf(item);
  Batch batch;
  for (int64_t i = 0; i < place.batches; ++i) batch.rows += plan_.BatchRows(place.batch + i);

  // Kept by each thread: a fresh vector for every batch would cost more than a small batch does.
  thread_local std::vector<int64_t> rows;
  thread_local std::vector<std::byte*> out;
  rows.resize(static_cast<size_t>(batch.rows));
  for (int64_t i = 0, at = 0; i < place.batches; ++i) {
    const int64_t count = plan_.BatchRows(place.batch + i);
    plan_.Rows(place.epoch, place.batch + i,
               std::span(rows).subspan(static_cast<size_t>(at), static_cast<size_t>(count)));
    at += count;
  }
  for (const auto& leaf : leaves_) {
    out.clear();
    for (size_t c = 0; c < leaf->columns(); ++c) {
      int64_t bytes;
      if (__builtin_mul_overflow(leaf->row_bytes(c), batch.rows, &bytes)) throw std::bad_alloc();
      batch.columns.push_back(AcquireBuffer(static_cast<size_t>(bytes)));
      out.push_back(batch.columns.back().get());
    }
    leaf->Rows(rows, out.data());
  }
  return batch;
}

}  // namespace npyfast
