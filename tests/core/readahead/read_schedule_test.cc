#include "core/readahead/read_schedule.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "tests/core/support/check.h"
#include "tests/core/support/items.h"
#include "tests/core/support/npy_file.h"
#include "tests/core/support/row_list.h"

namespace npyfast {
namespace {

using testing::Items;
using Rows = std::vector<int64_t>;

constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

// All pieces of a unit.
std::vector<RowStretch> StretchesOf(const ReadSchedule& schedule, int64_t unit) {
  std::vector<RowStretch> all;
  std::vector<RowStretch> piece = {{-1, 1}};  // what was there before does not stay
  int64_t next = 0;
  for (bool more = true; more;) {
    more = schedule.Rows(unit, &next, &piece);
    all.insert(all.end(), piece.begin(), piece.end());
  }
  return all;
}

std::set<int64_t> RowsOfUnit(const ReadSchedule& schedule, int64_t unit) {
  std::vector<RowStretch> stretches = StretchesOf(schedule, unit);
  std::set<int64_t> rows;
  for (const RowStretch& stretch : stretches) {
    CHECK(stretch.rows >= 0);
    for (int64_t row = stretch.first; row < stretch.first + stretch.rows; ++row) rows.insert(row);
  }
  return rows;
}

// The first `items` items, or all there are.
void CheckSchedule(const ItemPlan& plan, int64_t items) {
  const ReadSchedule schedule(plan, 0);
  if (plan.items() >= 0) items = std::min(items, plan.items());
  int64_t first_before = 0;
  int64_t end_before = 0;
  Rows rows;
  std::optional<int64_t> kept_unit;
  std::set<int64_t> kept;
  for (int64_t item = 0; item < items; ++item) {
    const int64_t first = schedule.FirstUnitOf(item);
    const int64_t end = schedule.EndUnitOf(item);
    CHECK(0 <= first && first < end && end <= schedule.units());
    CHECK(first_before <= first && end_before <= end);
    first_before = first;
    end_before = end;
    if (schedule.by_blocks()) {
      CHECK(schedule.AheadOf(item) >= end);
      CHECK(schedule.AheadOf(item) <= schedule.units());
      // Two windows, and a little, are all that is ever in memory.
      CHECK(schedule.AheadOf(item) - first <= 2 * (end - first) + (end - first) / 8);
    } else {
      CHECK_EQ(first, item);
      CHECK_EQ(end, item + 1);
    }
    rows.resize(static_cast<size_t>(plan.RowCount(plan.At(item))));
    plan.Fill(plan.At(item), 0, rows);
    const std::set<int64_t> wanted(rows.begin(), rows.end());
    std::set<int64_t> found;
    for (int64_t unit = first; unit < end; ++unit) {
      if (first + 1 == end) {
        if (kept_unit != unit) kept = RowsOfUnit(schedule, unit);
        kept_unit = unit;
        found = kept;
      } else {
        found.merge(RowsOfUnit(schedule, unit));
      }
    }
    CHECK(std::includes(found.begin(), found.end(), wanted.begin(), wanted.end()));
    // Without blocks nothing else is read.
    if (!schedule.by_blocks()) CHECK_EQ(found, wanted);
  }
  if (plan.items() < 0) return;
  CHECK_EQ(schedule.FirstUnitOf(plan.items()), schedule.units());
  CHECK_EQ(schedule.EndUnitOf(plan.items()), schedule.units());
  if (schedule.by_blocks()) CHECK_EQ(schedule.AheadOf(plan.items()), schedule.units());
  if (items == plan.items() && items > 0) CHECK(end_before <= schedule.units());
}

TEST(ReadSchedule, InFileOrderAnItemIsAUnitOfOneStretch) {
  const ItemPlan plan = Items({.start = 5, .size = 100}, {.batch_size = 7});
  const ReadSchedule schedule(plan, 0);
  CHECK(!schedule.by_blocks());
  CHECK(schedule.in_file_order());
  CHECK_EQ(schedule.units(), 15);
  std::vector<RowStretch> rows;
  rows = StretchesOf(schedule, 3);
  CHECK_EQ(rows.size(), 1U);
  CHECK_EQ(rows[0].first, 26);
  CHECK_EQ(rows[0].rows, 7);
  rows = StretchesOf(schedule, 14);
  CHECK_EQ(rows[0].first, 103);
  CHECK_EQ(rows[0].rows, 2);
}

TEST(ReadSchedule, WhatIsReadInFileOrder) {
  const Rows list = {0, 1, 2, 3};
  CHECK(ReadSchedule(Items({.size = 4}, {}), 0).in_file_order());
  CHECK(ReadSchedule(Items({.start = 1, .step = 3, .size = 4}, {}), 0).in_file_order());
  CHECK(!ReadSchedule(Items({.start = 9, .step = -3, .size = 4}, {}), 0).in_file_order());
  CHECK(!ReadSchedule(Items({.size = 4, .list = testing::RowList(list)}, {}), 0).in_file_order());
  CHECK(!ReadSchedule(Items({.size = 4, .order = Order(4, 0, 0)}, {}), 0).in_file_order());
  CHECK(!ReadSchedule(Items({.size = 4}, {.shuffle = true}), 0).in_file_order());
  const Plan::Options blocks{.shuffle = true, .blocks = {2, 2}};
  CHECK(!ReadSchedule(Items({.size = 4}, blocks), 0).in_file_order());
}

TEST(ReadSchedule, ABlockIsAUnitOfEachEpoch) {
  const ItemPlan plan = Items({.size = 103}, {.batch_size = 8, .shuffle = true, .blocks = {10, 30}},
                              {.start_epoch = 3, .epochs = 4});
  const ReadSchedule schedule(plan, 0);
  CHECK(schedule.by_blocks());
  CHECK_EQ(schedule.units(), 4 * 11);
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    std::set<int64_t> rows;
    int64_t read = 0;
    for (int64_t unit = 11 * epoch; unit < 11 * (epoch + 1); ++unit) {
      const std::set<int64_t> of_unit = RowsOfUnit(schedule, unit);
      read += std::ssize(of_unit);
      rows.insert(of_unit.begin(), of_unit.end());
    }
    CHECK_EQ(read, 103);
    CHECK_EQ(rows.size(), 103U);
    CHECK_EQ(*rows.rbegin(), 102);
  }
}

// By random plans: every row of an item is in its units, and units never go back.
TEST(ReadSchedule, AllRowsOfAnItemAreInItsUnits) {
  std::mt19937_64 random(11);
  const auto below = [&random](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  for (int round = 0; round < 1500; ++round) {
    const int64_t size = 1 + below(300);
    Selection selection{.size = size};
    Rows list;
    switch (below(5)) {
      case 0:
        selection.start = below(1000);
        break;
      case 1:
        selection.step = 1 + below(9);
        selection.start = below(100);
        break;
      case 2:
        selection.step = -1 - below(9);
        selection.start = -selection.step * size + below(100);
        break;
      case 3:
        selection.step = 1 + below(3);
        selection.start = below(100);
        if (below(2) == 0) {
          selection.start += selection.step * (size - 1);
          selection.step = -selection.step;
        }
        selection.order.emplace(3 * size + 100, random(), kSplitEpoch);
        break;
      default:
        for (int64_t i = 0; i < size; ++i) list.push_back(below(1000));
        selection.list = testing::RowList(list);
    }
    Plan::Options options{.batch_size = 1 + below(below(2) == 0 ? 12 : 400),
                          .shuffle = below(3) > 0,
                          .seed = random(),
                          .drop_remainder = below(4) == 0};
    if (options.shuffle && below(3) > 0)
      options.blocks = {1 + below(below(2) == 0 ? 8 : 400), 1 + below(400)};
    options.shard_count = 1 + below(6);
    options.shard_index = below(options.shard_count);
    Run run{.start_epoch = random() >> 2, .epochs = below(5) - 1};
    run.group = int64_t{1} << below(5);
    run.start_batch = below(Plan(selection, options).batches() + 1);
    CheckSchedule(Items(selection, options, run), 60);
  }
}

TEST(ReadSchedule, OfNothingThereAreNoUnits) {
  for (const int64_t block_rows : {0, 5}) {
    const Plan::Options options{
        .batch_size = 8, .shuffle = true, .blocks = {block_rows, 5}, .drop_remainder = true};
    CheckSchedule(Items({.size = 0}, options), 1);
    CheckSchedule(Items({.size = 7}, options), 1);
    CheckSchedule(Items({.size = 70}, options, {.epochs = 0}), 1);
    CHECK_EQ(ReadSchedule(Items({.size = 0}, options), 0).units(), 0);
  }
}

TEST(ReadSchedule, AnEndlessRunHasNoEnd) {
  for (const int64_t epochs : {int64_t{-1}, kEndless}) {
    for (const BlockSizes& blocks : {BlockSizes{0, 0}, BlockSizes{3, 9}}) {
      const ItemPlan plan =
          Items({.size = 50}, {.batch_size = 4, .shuffle = true, .blocks = blocks},
                {.start_epoch = 9, .start_batch = 12, .epochs = epochs});
      CHECK_EQ(ReadSchedule(plan, 0).units(), kEndless);
      CheckSchedule(plan, 100);
    }
  }
}

// A worker's part of the last, short batch may have no rows.
TEST(ReadSchedule, EmptyBatches) {
  for (int64_t worker = 0; worker < 5; ++worker) {
    for (const bool shuffle : {false, true}) {
      for (const BlockSizes& blocks : {BlockSizes{0, 0}, BlockSizes{1, 1}, BlockSizes{7, 14}}) {
        const Plan::Options options{.batch_size = 4,
                                    .shuffle = shuffle,
                                    .blocks = shuffle ? blocks : BlockSizes{},
                                    .shard_index = worker,
                                    .shard_count = 5};
        for (const int64_t size : {1, 2, 20, 21, 22, 61})
          CheckSchedule(Items({.size = size}, options, {.epochs = 3}), 50);
      }
    }
  }
}

TEST(ReadSchedule, ATrillionRows) {
  constexpr int64_t kRows = 1'000'000'000'000;
  for (const BlockSizes& blocks : {BlockSizes{0, 0}, BlockSizes{512, 4096}, BlockSizes{1, 100}}) {
    const Plan::Options options{
        .batch_size = 16, .shuffle = true, .blocks = blocks, .shard_index = 2, .shard_count = 3};
    const int64_t batches = Plan({.size = kRows}, options).batches();
    // The end of an epoch and the beginning of the next.
    CheckSchedule(Items({.size = kRows}, options, {.start_batch = batches - 5, .epochs = -1}), 10);
    const ItemPlan plan = Items({.size = kRows}, options, {.epochs = 1'000});
    const ReadSchedule schedule(plan, 0);
    const int64_t last = plan.items() - 1;
    CHECK(schedule.FirstUnitOf(last) < schedule.EndUnitOf(last));
    CHECK_EQ(schedule.EndUnitOf(last), schedule.units());
  }
  // One block, one window: all of it.
  const Plan::Options whole{.batch_size = 16, .shuffle = true, .blocks = {kRows, kRows}};
  const ReadSchedule schedule(Items({.size = kRows}, whole), 0);
  CHECK_EQ(schedule.units(), 1);
  std::vector<RowStretch> rows;
  rows = StretchesOf(schedule, 0);
  int64_t count = 0;
  for (const RowStretch& stretch : rows) count += stretch.rows;
  CHECK_EQ(count, kRows);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
