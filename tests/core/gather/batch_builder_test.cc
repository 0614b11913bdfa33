#include "core/gather/batch_builder.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::Counting;
using testing::DtypeOf;

// A column of the numbers 0 ... rows - 1, so that a batch tells which rows it has.
class Numbers {
 public:
  explicit Numbers(int64_t rows) : numbers_(Counting<int64_t>(static_cast<size_t>(rows))) {
    const std::vector<int64_t> shape = {rows};
    const std::vector<int64_t> strides = {8};
    gather_ =
        std::make_shared<Gather>(Array::View(reinterpret_cast<const std::byte*>(numbers_.data()),
                                             DtypeOf("'<i8'"), shape, strides),
                                 Fields::kTogether);
  }
  const std::shared_ptr<const Gather>& gather() const { return gather_; }

 private:
  std::vector<int64_t> numbers_;
  std::shared_ptr<const Gather> gather_;
};

std::vector<int64_t> Column(const Batch& batch, size_t column = 0) {
  std::vector<int64_t> numbers(static_cast<size_t>(batch.rows));
  if (!numbers.empty())
    std::memcpy(numbers.data(), batch.columns[column].get(), numbers.size() * 8);
  return numbers;
}

// All items of a run, or the first `most`.
std::vector<std::vector<int64_t>> Items(const BatchBuilder& maker, int64_t most = 1000) {
  std::vector<std::vector<int64_t>> items;
  const int64_t count = maker.items() < 0 ? most : std::min(most, maker.items());
  for (int64_t i = 0; i < count; ++i) items.push_back(Column(maker.Make(i)));
  return items;
}

TEST(BatchBuilder, AnItemIsABatch) {
  const Numbers numbers(7);
  const BatchBuilder maker({numbers.gather()}, Plan({.size = 7}, {.batch_size = 3}), {});
  CHECK_EQ(maker.items(), 3);
  CHECK_EQ(maker.item_bytes(), 24);
  CHECK_EQ(Items(maker), (std::vector<std::vector<int64_t>>{{0, 1, 2}, {3, 4, 5}, {6}}));
}

TEST(BatchBuilder, LeavesAndFieldsAreColumnsInOrder) {
  struct Record {
    int64_t a;
    int64_t b;
  };
  const std::vector<Record> records = {{10, 20}, {11, 21}, {12, 22}};
  const std::vector<int64_t> shape = {3};
  const std::vector<int64_t> strides = {16};
  const auto fields =
      std::make_shared<Gather>(Array::View(reinterpret_cast<const std::byte*>(records.data()),
                                           DtypeOf("[('a', '<i8'), ('b', '<i8')]"), shape, strides),
                               Fields::kApart);
  const Numbers numbers(3);
  const BatchBuilder maker({numbers.gather(), fields}, Plan({.size = 3}, {.batch_size = 2}), {});
  CHECK_EQ(maker.item_bytes(), 2 * 24);
  const Batch batch = maker.Make(0);
  CHECK_EQ(batch.columns.size(), 3u);
  CHECK_EQ(Column(batch, 0), (std::vector<int64_t>{0, 1}));
  CHECK_EQ(Column(batch, 1), (std::vector<int64_t>{10, 11}));
  CHECK_EQ(Column(batch, 2), (std::vector<int64_t>{20, 21}));
}

TEST(BatchBuilder, GroupsAreFullBatchesOfOneEpoch) {
  const Numbers numbers(11);
  const BatchBuilder maker({numbers.gather()}, Plan({.size = 11}, {.batch_size = 2}),
                           {.epochs = 2, .group = 3});
  CHECK_EQ(maker.items(), 7);
  CHECK_EQ(maker.item_bytes(), 48);
  // The first pass begins with 1, 2 ... batches.
  const std::vector<std::vector<int64_t>> wanted = {
      {0, 1}, {2, 3, 4, 5}, {6, 7, 8, 9}, {10}, {0, 1, 2, 3, 4, 5}, {6, 7, 8, 9}, {10}};
  CHECK_EQ(Items(maker), wanted);
}

// Every run there is below a bound, against the batches of its epochs one after the other.
TEST(BatchBuilder, EveryRunHasItsBatchesInOrder) {
  const uint64_t kStartEpoch = 5;
  for (int64_t rows = 0; rows <= 13; ++rows) {
    const Numbers numbers(rows);
    for (const int64_t batch_size : {1, 3, 4, 20}) {
      for (const int64_t shards : {1, 2}) {
        for (const bool drop : {false, true}) {
          const Plan plan({.size = rows}, {.batch_size = batch_size,
                                           .shuffle = true,
                                           .seed = 1,
                                           .shard_index = shards - 1,
                                           .shard_count = shards,
                                           .drop_remainder = drop});
          for (int64_t start = 0; start <= plan.batches(); ++start) {
            for (const int64_t epochs : {-1, 0, 1, 3}) {
              std::vector<int64_t> wanted;
              for (int64_t e = 0; e < (epochs < 0 ? 4 : epochs); ++e) {
                for (int64_t b = e == 0 ? start : 0; b < plan.batches(); ++b) {
                  std::vector<int64_t> batch(static_cast<size_t>(plan.BatchRows(b)));
                  plan.Fill(kStartEpoch + static_cast<uint64_t>(e), b, batch);
                  wanted.insert(wanted.end(), batch.begin(), batch.end());
                }
              }
              for (const int64_t group : {1, 2, 5}) {
                const BatchBuilder maker({numbers.gather()}, plan,
                                         {kStartEpoch, start, epochs, group});
                CHECK_EQ(maker.items() < 0, epochs < 0 && plan.batches() > 0);
                std::vector<int64_t> made;
                for (int64_t i = 0;
                     maker.items() < 0 ? made.size() < wanted.size() : i < maker.items(); ++i) {
                  const Batch batch = maker.Make(i);
                  CHECK(batch.rows * 8 <= maker.item_bytes());
                  const std::vector<int64_t> item = Column(batch);
                  made.insert(made.end(), item.begin(), item.end());
                }
                if (maker.items() < 0) made.resize(wanted.size());
                CHECK_EQ(made, wanted);
              }
            }
          }
        }
      }
    }
  }
}

TEST(BatchBuilder, AnItemIsMadeFromItsNumberAlone) {
  const Numbers numbers(1000);
  const BatchBuilder maker({numbers.gather()},
                           Plan({.size = 1000}, {.batch_size = 7, .shuffle = true}),
                           {.start_epoch = 3, .start_batch = 11, .epochs = -1, .group = 2});
  const auto items = Items(maker, 300);
  for (int64_t i = 299; i >= 0; i -= 13) CHECK_EQ(Column(maker.Make(i)), items[i]);
}

TEST(BatchBuilder, AnItemMayBeMadeInPartsInAnyOrder) {
  const Numbers numbers(100);
  for (const int64_t group : {1, 3}) {
    const BatchBuilder maker({numbers.gather(), numbers.gather()},
                             Plan({.size = 100}, {.batch_size = 7, .shuffle = true}),
                             {.epochs = 2, .group = group});
    for (int64_t item = 0; item < maker.items(); ++item) {
      const std::vector<int64_t> wanted = Column(maker.Make(item));
      for (const int parts : {1, 2, 3, 5, 30}) {
        const Batch batch = maker.Allocate(item);
        for (int part = parts; part-- > 0;) maker.Fill(item, part, parts, batch, {}, nullptr);
        CHECK_EQ(Column(batch, 0), wanted);
        CHECK_EQ(Column(batch, 1), wanted);
      }
    }
  }
}

TEST(BatchBuilder, OnlyLargeItemsAreMadeInParts) {
  const Numbers numbers(100'000);
  const Plan plan({.size = 100'000}, {.batch_size = 1000});
  CHECK_EQ(BatchBuilder({numbers.gather()}, plan, {}).Parts(8), 1);
  const BatchBuilder large({numbers.gather()}, plan, {.group = 100});
  CHECK_EQ(large.Parts(1), 1);
  CHECK_EQ(large.Parts(2), 2);
  CHECK_EQ(large.Parts(100), 3);
  CHECK_EQ(BatchBuilder({}, Plan({.size = 0}, {}), {}).Parts(4), 1);
}

TEST(BatchBuilder, FarAway) {
  const Numbers numbers(10);
  const BatchBuilder maker({numbers.gather()},
                           Plan({.size = 10}, {.batch_size = 3, .shuffle = true, .seed = 2}),
                           {.epochs = -1});
  constexpr int64_t kEpoch = int64_t{1} << 60;
  std::vector<int64_t> wanted(3);
  maker.plan().Fill(kEpoch, 1, wanted);
  CHECK_EQ(Column(maker.Make(4 * kEpoch + 1)), wanted);
}

TEST(BatchBuilder, MoreEpochsThanCanBeCountedAreEndless) {
  const Numbers numbers(10);
  const BatchBuilder maker({numbers.gather()}, Plan({.size = 10}, {.batch_size = 1}),
                           {.epochs = std::numeric_limits<int64_t>::max()});
  CHECK_EQ(maker.items(), -1);
}

TEST(BatchBuilder, AnItemIsNoLargerThanTheArray) {
  const Numbers numbers(10);
  constexpr int64_t kHuge = int64_t{1} << 62;
  const BatchBuilder maker({numbers.gather()}, Plan({.size = 10}, {.batch_size = kHuge}),
                           {.group = kHuge});
  CHECK_EQ(maker.item_bytes(), 80);
  CHECK_EQ(Items(maker)[0], Counting<int64_t>(10));
}

TEST(BatchBuilder, WhatNoMemoryHoldsIsBadAllocAndNotLess) {
  // 2^21 rows of 2^43 bytes: all the same byte, and 2^64 of them, which is 0 in 64 bits.
  const std::byte one{1};
  const std::vector<int64_t> shape = {1 << 21, int64_t{1} << 43};
  const std::vector<int64_t> strides = {0, 0};
  const auto gather = std::make_shared<Gather>(Array::View(&one, DtypeOf("'|u1'"), shape, strides),
                                               Fields::kTogether);
  const BatchBuilder maker({gather}, Plan({.size = 1 << 21}, {.batch_size = 1 << 21}), {});
  CHECK(maker.item_bytes() >= int64_t{1} << 48);
  CHECK_THROWS(maker.Make(0), std::bad_alloc, "");
  // What was kept from the failure is no harm to the next batch.
  const Numbers numbers(4);
  const BatchBuilder fine({numbers.gather()}, Plan({.size = 4}, {.batch_size = 4}), {});
  CHECK_EQ(Items(fine)[0], Counting<int64_t>(4));
}

TEST(BatchBuilder, BatchesWithoutRowsOrBytes) {
  // Two rows for three workers: the first has an empty batch.
  const Numbers numbers(2);
  const BatchBuilder maker({numbers.gather()},
                           Plan({.size = 2}, {.batch_size = 4, .shard_count = 3}), {});
  CHECK_EQ(maker.items(), 1);
  const Batch batch = maker.Make(0);
  CHECK_EQ(batch.rows, 0);
  CHECK_EQ(batch.columns.size(), 1u);
  const std::vector<int64_t> shape = {5, 0};
  const std::vector<int64_t> strides = {0, 8};
  const auto nothing = std::make_shared<Gather>(
      Array::View(nullptr, DtypeOf("'<f8'"), shape, strides), Fields::kTogether);
  const BatchBuilder of_nothing({nothing}, Plan({.size = 5}, {.batch_size = 2}), {});
  CHECK_EQ(of_nothing.item_bytes(), 0);
  CHECK_EQ(of_nothing.Make(2).rows, 1);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
