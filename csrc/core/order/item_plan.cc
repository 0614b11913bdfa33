#include "core/order/item_plan.h"

#include <algorithm>
#include <bit>

namespace npyfast {

int64_t Run::Batches(const Plan& plan) const {
  if (plan.batches() == 0 || epochs == 0) return 0;
  int64_t all;
  if (epochs < 0 || __builtin_mul_overflow(epochs, plan.batches(), &all)) return -1;
  return all - start_batch;
}

Run Run::After(const Plan& plan, int64_t batches) const {
  const int64_t batch = start_batch + batches;
  const int64_t passed = batch / plan.batches();
  Run left = *this;
  left.start_epoch += static_cast<uint64_t>(passed);
  left.start_batch = batch % plan.batches();
  if (epochs >= 0) left.epochs -= passed;
  return left;
}

ItemPlan::ItemPlan(const Plan& plan, const Run& run) : plan_(plan), run_(run) {
  const int64_t full = std::max<int64_t>(plan_.full_batches() - run.start_batch, 0);
  first_epoch_items_ = FullItems(full, true) + ShortItems(run.start_batch);
  epoch_items_ = FullItems(plan_.full_batches(), false) + ShortItems(0);
  if (epoch_items_ == 0 || run.epochs == 0) {
    items_ = 0;
  } else if (run.epochs < 0 || __builtin_mul_overflow(run.epochs - 1, epoch_items_, &items_) ||
             __builtin_add_overflow(items_, first_epoch_items_, &items_)) {
    items_ = -1;
  }
}

int64_t ItemPlan::GrowingItems() const {
  return std::bit_width(static_cast<uint64_t>(run_.group - 1));
}

int64_t ItemPlan::GrowingBatches() const {
  return static_cast<int64_t>((uint64_t{1} << GrowingItems()) - 1);
}

int64_t ItemPlan::FullItems(int64_t full_batches, bool growing) const {
  if (growing && full_batches <= GrowingBatches())
    return std::bit_width(static_cast<uint64_t>(full_batches));
  const int64_t items = growing ? GrowingItems() : 0;
  const int64_t rest = growing ? full_batches - GrowingBatches() : full_batches;
  return items + rest / run_.group + (rest % run_.group > 0 ? 1 : 0);
}

int64_t ItemPlan::ShortItems(int64_t batch) const {
  return plan_.batches() - std::max(batch, plan_.full_batches());
}

int64_t ItemPlan::max_rows() const {
  // batch_size alone says little: it may be larger than the array.
  int64_t rows = plan_.options().batch_size * std::min(run_.group, plan_.full_batches());
  if (plan_.batches() > plan_.full_batches())
    rows = std::max(rows, plan_.BatchRows(plan_.full_batches()));
  return rows;
}

Item ItemPlan::At(int64_t item) const {
  uint64_t epoch = run_.start_epoch;
  int64_t batch;
  int64_t size = run_.group;
  if (item < first_epoch_items_) {
    if (item < GrowingItems()) {
      size = int64_t{1} << item;
      batch = run_.start_batch + size - 1;
    } else {
      batch = run_.start_batch + GrowingBatches() + (item - GrowingItems()) * size;
    }
    // The short batch follows the last full one, whatever the size of the items before it.
    if (item == first_epoch_items_ - 1 && ShortItems(run_.start_batch) > 0)
      batch = plan_.full_batches();
  } else {
    item -= first_epoch_items_;
    epoch += 1 + static_cast<uint64_t>(item / epoch_items_);
    batch = item % epoch_items_ * size;
  }
  if (batch >= plan_.full_batches()) return {epoch, plan_.full_batches(), 1};
  return {epoch, batch, std::min(size, plan_.full_batches() - batch)};
}

int64_t ItemPlan::RowCount(const Item& item) const {
  // Several batches are all full.
  return item.batches > 1 ? item.batches * plan_.options().batch_size : plan_.BatchRows(item.batch);
}

void ItemPlan::Fill(const Item& item, int64_t begin, std::span<int64_t> rows) const {
  const int64_t end = begin + std::ssize(rows);
  for (int64_t i = 0, first = 0; i < item.batches && first < end; ++i) {
    // Batch i holds the rows [first, last) of the item; [from, to) of them are asked for.
    const int64_t last = first + plan_.BatchRows(item.batch + i);
    const int64_t from = std::max(first, begin);
    const int64_t to = std::min(last, end);
    if (from < to) {
      plan_.Fill(item.epoch, item.batch + i, from - first,
                 rows.subspan(static_cast<size_t>(from - begin), static_cast<size_t>(to - from)));
    }
    first = last;
  }
}

}  // namespace npyfast
