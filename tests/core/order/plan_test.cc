#include "core/order/plan.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

#include "core/order/order.h"
#include "tests/core/support/check.h"
#include "tests/core/support/row_list.h"

namespace npyfast {
namespace {

Plan MakePlan(int64_t rows, int64_t batch_size, int64_t index, int64_t count, bool drop,
              bool shuffle = false, uint64_t seed = 0) {
  return Plan({.size = rows}, {.batch_size = batch_size,
                               .shuffle = shuffle,
                               .seed = seed,
                               .shard_index = index,
                               .shard_count = count,
                               .drop_remainder = drop});
}

std::vector<int64_t> Rows(const Plan& plan, uint64_t epoch, int64_t batch) {
  std::vector<int64_t> rows(static_cast<size_t>(plan.BatchRows(batch)), -1);
  plan.Fill(epoch, batch, rows);
  return rows;
}

TEST(Plan, WithoutOptionsItCounts) {
  const Plan plan = MakePlan(10, 4, 0, 1, false);
  CHECK_EQ(plan.batches(), 3);
  CHECK_EQ(plan.full_batches(), 2);
  CHECK_EQ(Rows(plan, 0, 0), (std::vector<int64_t>{0, 1, 2, 3}));
  CHECK_EQ(Rows(plan, 5, 1), (std::vector<int64_t>{4, 5, 6, 7}));
  CHECK_EQ(Rows(plan, 0, 2), (std::vector<int64_t>{8, 9}));
  CHECK_EQ(MakePlan(10, 4, 0, 1, true).batches(), 2);
  CHECK_EQ(MakePlan(8, 4, 0, 1, false).batches(), 2);
  CHECK_EQ(MakePlan(0, 4, 0, 1, false).batches(), 0);
  CHECK_EQ(MakePlan(3, 4, 0, 1, true).batches(), 0);
}

// Every number of rows, batch size, number of workers there is below a bound, against the rule as
// it is written in the header.
TEST(Plan, EveryWorkerHasItsShareOfEveryGlobalBatch) {
  for (int64_t rows = 0; rows <= 40; ++rows) {
    std::vector<int64_t> order(static_cast<size_t>(rows));
    Order(static_cast<uint64_t>(rows), 3, 2).Fill(0, order);
    for (int64_t batch_size = 1; batch_size <= 6; ++batch_size) {
      for (int64_t count = 1; count <= 5; ++count) {
        const int64_t global = batch_size * count;
        for (const bool drop : {false, true}) {
          const int64_t batches = drop ? rows / global : (rows + global - 1) / global;
          for (int64_t worker = 0; worker < count; ++worker) {
            const Plan plan = MakePlan(rows, batch_size, worker, count, drop, true, 3);
            CHECK_EQ(plan.batches(), batches);
            CHECK_EQ(plan.full_batches(), rows / global);
            for (int64_t b = 0; b < batches; ++b) {
              const int64_t r = std::min(global, rows - b * global);
              int64_t first = worker * batch_size;
              int64_t last = first + batch_size;
              if (r < global) {
                first = r * worker / count;
                last = r * (worker + 1) / count;
              }
              const auto begin = order.begin() + b * global;
              CHECK_EQ(Rows(plan, 2, b), std::vector<int64_t>(begin + first, begin + last));
            }
          }
        }
      }
    }
  }
}

TEST(Plan, TheShortBatchIsDividedEvenly) {
  // 10 = 2 * 4 + 2 rows for workers of 2: one row each; 3 workers of 2 have 4 left: 1, 1, 2.
  CHECK_EQ(MakePlan(10, 2, 0, 2, false).BatchRows(2), 1);
  CHECK_EQ(MakePlan(10, 2, 1, 2, false).BatchRows(2), 1);
  CHECK_EQ(MakePlan(10, 2, 0, 3, false).BatchRows(1), 1);
  CHECK_EQ(MakePlan(10, 2, 1, 3, false).BatchRows(1), 1);
  CHECK_EQ(MakePlan(10, 2, 2, 3, false).BatchRows(1), 2);
  // Fewer rows than workers: some get none, and have the batch all the same.
  CHECK_EQ(MakePlan(2, 2, 0, 3, false).batches(), 1);
  CHECK_EQ(MakePlan(2, 2, 0, 3, false).BatchRows(0), 0);
  CHECK_EQ(MakePlan(2, 2, 2, 3, false).BatchRows(0), 1);
}

TEST(Plan, ShufflesEachEpochAnew) {
  const Plan plan = MakePlan(1000, 32, 0, 1, false, true, 7);
  std::set<int64_t> seen;
  for (int64_t b = 0; b < plan.batches(); ++b) {
    for (const int64_t row : Rows(plan, 0, b)) seen.insert(row);
  }
  CHECK_EQ(seen.size(), 1000u);
  CHECK(Rows(plan, 0, 0) != Rows(plan, 1, 0));
  CHECK_EQ(Rows(plan, 4, 3), Rows(plan, 4, 3));
}

TEST(Plan, ShufflesInBlocks) {
  const BlockSizes sizes{.block_rows = 5, .window_rows = 40};
  const Plan plan({.start = 7, .step = 2, .size = 203},
                  {.batch_size = 10, .shuffle = true, .seed = 7, .blocks = sizes});
  std::vector<int64_t> wanted(203);
  BlockOrder(203, 7, 3, sizes).Fill(0, wanted);
  for (int64_t& row : wanted) row = 7 + 2 * row;
  std::vector<int64_t> seen;
  for (int64_t b = 0; b < plan.batches(); ++b) {
    for (const int64_t row : Rows(plan, 3, b)) seen.push_back(row);
  }
  CHECK_EQ(seen, wanted);
}

TEST(Plan, TakesASlice) {
  const Plan plan({.start = 100, .step = -3, .size = 5}, {.batch_size = 2});
  CHECK_EQ(Rows(plan, 0, 0), (std::vector<int64_t>{100, 97}));
  CHECK_EQ(Rows(plan, 0, 2), (std::vector<int64_t>{88}));
}

TEST(Plan, TakesAList) {
  const std::vector<int64_t> list = {9, 9, 0, 4, 2};
  const Plan plain({.size = 5, .list = testing::RowList(list)}, {.batch_size = 5});
  CHECK_EQ(Rows(plain, 0, 0), list);
  const Plan shuffled({.size = 5, .list = testing::RowList(list)},
                      {.batch_size = 5, .shuffle = true});
  std::vector<int64_t> rows = Rows(shuffled, 0, 0);
  std::vector<int64_t> wanted(5);
  Order(5, 0, 0).Fill(0, wanted);
  for (int64_t& row : wanted) row = list[static_cast<size_t>(row)];
  CHECK_EQ(rows, wanted);
}

// The same as in tests/order/test_split.py.
TEST(Plan, TakesAPartOfASplit) {
  const Order split(10, 0, kSplitEpoch);
  const Plan first({.size = 9, .order = split}, {.batch_size = 9});
  const Plan rest({.start = 9, .size = 1, .order = split}, {.batch_size = 9});
  CHECK_EQ(Rows(first, 0, 0), (std::vector<int64_t>{5, 8, 1, 2, 3, 7, 4, 9, 0}));
  CHECK_EQ(Rows(first, 5, 0), Rows(first, 0, 0));
  CHECK_EQ(Rows(rest, 0, 0), (std::vector<int64_t>{6}));

  // Every third position, shuffled.
  std::vector<int64_t> all(1000);
  Order(1000, 7, kSplitEpoch).Fill(0, all);
  const Plan some({.start = 900, .step = -3, .size = 250, .order = Order(1000, 7, kSplitEpoch)},
                  {.batch_size = 100, .shuffle = true, .seed = 7});
  std::vector<int64_t> wanted(250);
  Order(250, 7, 2).Fill(0, wanted);
  for (int64_t& row : wanted) row = all[static_cast<size_t>(900 - 3 * row)];
  std::vector<int64_t> seen;
  for (int64_t b = 0; b < some.batches(); ++b) {
    for (const int64_t row : Rows(some, 2, b)) seen.push_back(row);
  }
  CHECK_EQ(seen, wanted);
}

TEST(Plan, TheTwoPartsOfASplitHoldEachRowOnce) {
  for (int64_t rows = 0; rows <= 100; ++rows) {
    const Order split(static_cast<uint64_t>(rows), 3, kSplitEpoch);
    for (int64_t cut = 0; cut <= rows; ++cut) {
      std::vector<bool> seen(static_cast<size_t>(rows));
      for (const Selection& part : {Selection{.size = cut, .order = split},
                                    Selection{.start = cut, .size = rows - cut, .order = split}}) {
        const Plan plan(part, {.batch_size = 7, .shuffle = cut % 2 == 0, .seed = 3});
        for (int64_t b = 0; b < plan.batches(); ++b) {
          for (const int64_t row : Rows(plan, 0, b)) {
            CHECK(row >= 0 && row < rows && !seen[static_cast<size_t>(row)]);
            seen[static_cast<size_t>(row)] = true;
          }
        }
      }
      CHECK(std::all_of(seen.begin(), seen.end(), [](bool had) { return had; }));
    }
  }
}

TEST(Plan, NumbersAsLargeAsTheyMayBe) {
  constexpr int64_t kRows = int64_t{1} << 62;
  const Plan plan = MakePlan(kRows, 1000, 2, 3, false, true, 1);
  CHECK_EQ(plan.batches(), kRows / 3000 + 1);
  std::vector<int64_t> rows = Rows(plan, ~uint64_t{0}, kRows / 3000 - 1);
  CHECK_EQ(rows.size(), 1000u);
  for (const int64_t row : rows) CHECK(row >= 0 && row < kRows);
  // One batch of all there is, divided among as many workers as can be.
  constexpr int64_t kWorkers = int64_t{1} << 31;
  const Plan one = MakePlan(kRows - 1, int64_t{1} << 31, kWorkers - 1, kWorkers, false);
  CHECK_EQ(one.batches(), 1);
  CHECK_EQ(one.BatchRows(0), int64_t{1} << 31);
  CHECK_EQ(MakePlan(3, int64_t{1} << 62, 0, 1, false).BatchRows(0), 3);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
