#include "core/order/item_plan.h"

#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

using Rows = std::vector<int64_t>;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

Rows RowsOf(const ItemPlan& items, const Item& item) {
  Rows rows(static_cast<size_t>(items.RowCount(item)));
  items.Fill(item, 0, rows);
  return rows;
}

Rows Counting(int64_t first, int64_t count) {
  Rows rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), first);
  return rows;
}

TEST(ItemPlan, TheExamplesOfTheHeader) {
  struct Example {
    Item item;
    int64_t first_row;
    int64_t rows;
  };
  const Plan plan({.size = 11}, {.batch_size = 2});
  const Example examples[] = {
      {{0, 0, 1}, 0, 2}, {{0, 1, 2}, 2, 4}, {{0, 3, 2}, 6, 4},  {{0, 5, 1}, 10, 1},
      {{1, 0, 3}, 0, 6}, {{1, 3, 2}, 6, 4}, {{1, 5, 1}, 10, 1},
  };
  const ItemPlan items(plan, {.epochs = 2, .group = 3});
  CHECK_EQ(items.items(), 7);
  CHECK_EQ(items.max_rows(), 6);
  for (int64_t i = 0; i < 7; ++i) {
    CHECK(items.At(i) == examples[i].item);
    CHECK_EQ(RowsOf(items, items.At(i)), Counting(examples[i].first_row, examples[i].rows));
  }
  CHECK(items.Has(6) && !items.Has(7));
  const ItemPlan later(plan, {.start_batch = 4, .epochs = 2, .group = 3});
  CHECK_EQ(later.items(), 5);
  CHECK(later.At(0) == (Item{0, 4, 1}));
  CHECK(later.At(1) == (Item{0, 5, 1}));
  CHECK(later.At(2) == (Item{1, 0, 3}));
}

TEST(ItemPlan, Items) {
  struct Example {
    int64_t rows, batch_size;
    bool drop_remainder;
    Run run;
    int64_t items;
    std::vector<Item> first;
  };
  const Example examples[] = {
      // Without groups an item is a batch.
      {7, 3, false, {.epochs = 2}, 6, {{0, 0, 1}, {0, 1, 1}, {0, 2, 1}, {1, 0, 1}}},
      {7, 3, true, {.epochs = 2}, 4, {{0, 0, 1}, {0, 1, 1}, {1, 0, 1}, {1, 1, 1}}},
      {7, 3, false, {.start_epoch = 5, .start_batch = 2}, 1, {{5, 2, 1}}},
      // A start at the end of an epoch is the beginning of the next one.
      {7, 3, false, {.start_batch = 3, .epochs = 2}, 3, {{1, 0, 1}, {1, 1, 1}, {1, 2, 1}}},
      {6, 3, false, {.start_batch = 2, .epochs = 1}, 0, {}},
      // A group larger than the epoch: items grow, and are full from the second epoch on.
      {6, 1, false, {.epochs = 2, .group = 100}, 4, {{0, 0, 1}, {0, 1, 2}, {0, 3, 3}, {1, 0, 6}}},
      // Growth stops at the end of the first epoch.
      {2, 1, false, {.epochs = 2, .group = 8}, 3, {{0, 0, 1}, {0, 1, 1}, {1, 0, 2}}},
      // Only a short batch.
      {2, 5, false, {.epochs = 2, .group = 4}, 2, {{0, 0, 1}, {1, 0, 1}}},
      {2, 5, true, {.epochs = -1, .group = 4}, 0, {}},
      {0, 5, false, {.epochs = -1}, 0, {}},
      {5, 1, false, {.epochs = 0}, 0, {}},
      {5, 1, false, {.epochs = -1}, -1, {{0, 0, 1}, {0, 1, 1}}},
      {5, 1, false, {.epochs = kMost}, -1, {{0, 0, 1}}},
  };
  for (const Example& example : examples) {
    const Plan plan({.size = example.rows},
                    {.batch_size = example.batch_size, .drop_remainder = example.drop_remainder});
    const ItemPlan items(plan, example.run);
    CHECK_EQ(items.items(), example.items);
    for (size_t i = 0; i < example.first.size(); ++i)
      CHECK(items.At(static_cast<int64_t>(i)) == example.first[i]);
  }
}

TEST(ItemPlan, PartsOfAnItem) {
  const ItemPlan items(Plan({.size = 100}, {.batch_size = 7, .shuffle = true}),
                       {.start_epoch = 3, .epochs = 2, .group = 4});
  for (int64_t i = 0; i < items.items(); ++i) {
    const Item item = items.At(i);
    const Rows all = RowsOf(items, item);
    for (size_t first = 0; first <= all.size(); ++first) {
      for (size_t count = 0; first + count <= all.size(); ++count) {
        Rows part(count);
        items.Fill(item, static_cast<int64_t>(first), part);
        CHECK_EQ(part, Rows(all.begin() + first, all.begin() + first + count));
      }
    }
  }
}

TEST(ItemPlan, ARunGoesOn) {
  const Plan plan({.size = 7}, {.batch_size = 2});  // four batches
  const Run run{.start_epoch = 5, .start_batch = 3, .epochs = 3};
  CHECK_EQ(run.Batches(plan), 9);
  const ItemPlan items(plan, run);
  for (int64_t after = 0; after < 9; ++after) {
    const Run left = run.After(plan, after);
    CHECK_EQ(left.Batches(plan), 9 - after);
    CHECK(ItemPlan(plan, left).At(0) == items.At(after));
  }
  CHECK_EQ(run.After(plan, 9).Batches(plan), 0);
  CHECK_EQ((Run{.epochs = -1}).Batches(plan), -1);
  CHECK_EQ((Run{.epochs = -1}).After(plan, 1'000).epochs, -1);
  CHECK_EQ((Run{.epochs = kMost}).Batches(plan), -1);
  CHECK_EQ((Run{.epochs = -1}).Batches(Plan({.size = 0}, {})), 0);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
