#include "core/readahead/piece_plan.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "tests/core/support/check.h"
#include "tests/core/support/items.h"
#include "tests/core/support/row_list.h"

namespace npyfast {
namespace {

using testing::Items;
using testing::RowsOf;
using Rows = std::vector<int64_t>;

constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

// Every row of an item is in exactly one of its pieces, at the place that the plan says.
void CheckPieces(const ItemPlan& items, const PiecePlan& plan, int64_t count) {
  int64_t next = 0;  // the first piece of the next item
  for (int64_t item = 0; item < count; ++item) {
    CHECK_EQ(plan.FirstOf(item), next);
    next = plan.EndOf(item);
    CHECK(next <= plan.pieces());
    const Rows wanted = RowsOf(items, item);
    Rows found;
    Rows rows = {-1};  // what was there before does not stay
    for (int64_t piece = plan.FirstOf(item); piece < next; ++piece) {
      plan.ListRows(piece, &rows);
      CHECK(std::ssize(rows) <= plan.most_rows());
      for (size_t i = 0; i < rows.size(); ++i) {
        const int64_t place = std::ssize(found) + static_cast<int64_t>(i);
        CHECK_EQ(plan.PieceAt(item, place), piece);
        CHECK(plan.EndPlace(place) > place);
      }
      if (!rows.empty() && std::ssize(found) + std::ssize(rows) < std::ssize(wanted))
        CHECK_EQ(plan.EndPlace(std::ssize(found)), std::ssize(found) + std::ssize(rows));
      found.insert(found.end(), rows.begin(), rows.end());
    }
    CHECK_EQ(found, wanted);
  }
}

void CheckBlocks(const ItemPlan& items, const PiecePlan& plan, int64_t count) {
  int64_t first_before = 0;
  for (int64_t item = 0; item < count; ++item) {
    const int64_t first = plan.FirstOf(item);
    const int64_t end = plan.EndOf(item);
    CHECK(first_before <= first && first <= end && end <= plan.pieces());
    CHECK(end - first <= plan.needed_together());
    first_before = first;
    std::multiset<int64_t> found;
    std::vector<RowStretch> stretches = {{-1, 1}};
    for (int64_t piece = first; piece < end; ++piece) {
      plan.ListStretches(piece, &stretches);
      int64_t rows = 0;
      for (const RowStretch& stretch : stretches) {
        rows += stretch.rows;
        for (int64_t i = 0; i < stretch.rows; ++i) found.insert(stretch.first + i);
      }
      CHECK(rows <= plan.most_rows());
    }
    for (const int64_t row : RowsOf(items, item)) CHECK_EQ(found.count(row), 1U);
  }
}

// The first `most` items, or all there are.
void Check(const ItemPlan& items, int64_t row_bytes, int64_t piece_bytes, int64_t most) {
  const PiecePlan plan(items, row_bytes, piece_bytes);
  const int64_t count = items.items() < 0 ? most : std::min(most, items.items());
  if (plan.shared()) {
    CheckBlocks(items, plan, count);
  } else {
    CheckPieces(items, plan, count);
  }
  if (items.items() < 0) {
    CHECK_EQ(plan.pieces(), kEndless);
    return;
  }
  CHECK_EQ(plan.FirstOf(items.items()), plan.pieces());
  CHECK_EQ(plan.EndOf(items.items()), plan.pieces());
  if (count > 0 && count == items.items() && !plan.shared())
    CHECK_EQ(plan.EndOf(count - 1), plan.pieces());
}

TEST(PiecePlan, AnItemOfThreePieces) {
  const PiecePlan plan(Items({.size = 140}, {.batch_size = 70, .shuffle = true}), 100, 3200);
  CHECK(!plan.shared());
  CHECK_EQ(plan.most_rows(), 32);
  CHECK_EQ(plan.pieces(), 6);
  CHECK_EQ(plan.needed_together(), 1);
  CHECK_EQ(plan.FirstOf(1), 3);
  CHECK_EQ(plan.EndOf(1), 6);
  CHECK_EQ(plan.PieceAt(1, 31), 3);
  CHECK_EQ(plan.PieceAt(1, 32), 4);
  CHECK_EQ(plan.EndPlace(0), 32);
  CHECK_EQ(plan.EndPlace(63), 64);
  Rows rows;
  plan.ListRows(5, &rows);
  const Rows item = RowsOf(Items({.size = 140}, {.batch_size = 70, .shuffle = true}), 1);
  CHECK_EQ(rows, Rows(item.end() - 6, item.end()));
}

TEST(PiecePlan, PiecesAreOfSomeRowsAlways) {
  const ItemPlan items = Items({.size = 10}, {.batch_size = 4, .shuffle = true});
  CHECK_EQ(PiecePlan(items, 1 << 20, 1).most_rows(), 1);
  CHECK_EQ(PiecePlan(items, 1, 1 << 20).most_rows(), 4);
  CHECK_EQ(PiecePlan(items, 0, 0).most_rows(), 1);
  // A batch may be larger than the array.
  CHECK_EQ(PiecePlan(Items({.size = 10}, {.batch_size = 1 << 20, .shuffle = true}), 1, 1 << 20)
               .most_rows(),
           10);
}

TEST(PiecePlan, InTheOrderOfTheFileItemsSharePieces) {
  const PiecePlan plan(Items({.start = 1000, .size = 105}, {.batch_size = 10}, {.epochs = 2}), 100,
                       3200);
  CHECK(plan.shared());
  CHECK_EQ(plan.most_rows(), 32);
  CHECK_EQ(plan.pieces(), 8);
  CHECK_EQ(plan.needed_together(), 2);
  CHECK_EQ(plan.FirstOf(3), 0);
  CHECK_EQ(plan.EndOf(3), 2);
  CHECK_EQ(plan.FirstOf(10), 3);
  CHECK_EQ(plan.EndOf(10), 4);
  CHECK_EQ(plan.FirstOf(11), 4);
  CHECK_EQ(plan.ItemsOf(2), 6);
  std::vector<RowStretch> rows;
  plan.ListStretches(7, &rows);
  CHECK_EQ(rows.size(), 1U);
  CHECK_EQ(rows[0].first, 1096);
  CHECK_EQ(rows[0].rows, 9);
}

// Its rows are stretches of the file, with those of the other workers between them.
TEST(PiecePlan, InTheOrderOfTheFileAWorkerReadsItsOwnRows) {
  const Plan::Options options{.batch_size = 10, .shard_index = 1, .shard_count = 3};
  const PiecePlan plan(Items({.size = 65}, options), 1, 15);
  CHECK_EQ(plan.pieces(), 2);
  std::vector<RowStretch> rows;
  plan.ListStretches(0, &rows);
  CHECK_EQ(rows.size(), 2U);
  CHECK_EQ(rows[0].first, 10);
  CHECK_EQ(rows[0].rows, 10);
  CHECK_EQ(rows[1].first, 40);
  CHECK_EQ(rows[1].rows, 5);
  plan.ListStretches(1, &rows);  // of the short batch of 5 rows, this worker has 2
  CHECK_EQ(rows.size(), 2U);
  CHECK_EQ(rows[1].first, 61);
  CHECK_EQ(rows[1].rows, 2);
}

// Of a short batch, the last pieces have no rows.
TEST(PiecePlan, AShortBatch) {
  const ItemPlan items = Items({.size = 75}, {.batch_size = 70, .shuffle = true}, {.epochs = 3});
  Check(items, 10, 200, 100);
  const PiecePlan plan(items, 10, 200);
  Rows rows;
  plan.ListRows(plan.FirstOf(1), &rows);
  CHECK_EQ(rows.size(), 5U);
  plan.ListRows(plan.FirstOf(1) + 1, &rows);
  CHECK(rows.empty());
}

TEST(PiecePlan, EveryRowIsInOnePiece) {
  std::mt19937_64 random(17);
  const auto below = [&random](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  for (int round = 0; round < 1000; ++round) {
    Selection selection{.start = below(100), .step = 1 + below(3), .size = 1 + below(300)};
    Rows list;
    if (below(3) == 0) {
      for (int64_t i = 0; i < selection.size; ++i) list.push_back(below(1000));
      selection = {.size = selection.size, .list = testing::RowList(list)};
    }
    Plan::Options options{.batch_size = 1 + below(below(2) == 0 ? 12 : 400),
                          .shuffle = below(3) > 0,
                          .seed = random(),
                          .drop_remainder = below(4) == 0};
    // Rows of a list may repeat, so that a block has them twice.
    if (options.shuffle && list.empty() && below(2) == 0)
      options.blocks = {1 + below(below(2) == 0 ? 8 : 400), 1 + below(400)};
    options.shard_count = 1 + below(6);
    options.shard_index = below(options.shard_count);
    Run run{.start_epoch = random() >> 2, .epochs = below(5) - 1};
    run.group = int64_t{1} << below(5);
    run.start_batch = below(Plan(selection, options).batches() + 1);
    Check(Items(selection, options, run), 1 + below(50), below(2000), 60);
  }
}

TEST(PiecePlan, OfNothingThereAreNoPieces) {
  for (const int64_t block_rows : {0, 5}) {
    const Plan::Options options{
        .batch_size = 8, .shuffle = true, .blocks = {block_rows, 5}, .drop_remainder = true};
    Check(Items({.size = 7}, options), 10, 100, 1);
    Check(Items({.size = 70}, options, {.epochs = 0}), 10, 100, 1);
    CHECK_EQ(PiecePlan(Items({.size = 0}, options), 10, 100).pieces(), 0);
  }
}

TEST(PiecePlan, ManyRowsAndEndlessRuns) {
  constexpr int64_t kRows = 1'000'000'000'000;
  for (const Plan::Options& options :
       {Plan::Options{.batch_size = 256}, Plan::Options{.batch_size = 256, .shuffle = true},
        Plan::Options{.batch_size = 256, .shuffle = true, .blocks = {512, 4096}}}) {
    Check(Items({.size = kRows}, options, {.epochs = -1}), 100, 1000, 5);
    Check(Items({.size = kRows}, options, {.epochs = kEndless}), 100, 1000, 5);
    Check(Items({.size = kRows}, options, {.epochs = 1000}), 100, 1000, 5);
  }
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
