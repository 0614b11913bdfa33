#include "core/order/order.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

std::vector<int64_t> Rows(const Order& order, uint64_t first, size_t size) {
  std::vector<int64_t> rows(size, -1);
  order.Fill(first, rows);
  return rows;
}

bool IsBijection(const Order& order) {
  std::vector<bool> seen(order.rows());
  for (const int64_t row : Rows(order, 0, order.rows())) {
    if (row < 0 || static_cast<uint64_t>(row) >= order.rows() || seen[row]) return false;
    seen[row] = true;
  }
  return true;
}

struct Golden {
  uint64_t rows, seed, epoch;
  std::vector<int64_t> first;
};

// The algorithm's fingerprint, the same table as in tests/order/test_order.py. A change here
// breaks every checkpoint taken before: it needs a new kOrderVersion.
const Golden kGolden[] = {
    {1u, 0u, 0u, {0}},
    {2u, 0u, 0u, {0, 1}},
    {2u, 0u, 1u, {0, 1}},
    {3u, 0u, 0u, {2, 1, 0}},
    {4u, 7u, 1u, {1, 2, 3, 0}},
    {5u, 0u, 0u, {0, 2, 1, 4, 3}},
    {6u, 1u, 0u, {0, 2, 3, 1, 5, 4}},
    {7u, 0u, 1u, {5, 4, 6, 0, 2, 3, 1}},
    {8u, 123456789u, 3u, {1, 5, 0, 4, 6, 3, 2, 7}},
    {10u, 0u, 0u, {3, 0, 6, 4, 1, 2, 7, 9}},
    {64u, 0u, 0u, {2, 7, 36, 19, 5, 56, 21, 26}},
    {100u, 1u, 0u, {64, 9, 18, 72, 79, 11, 49, 39}},
    {100u, 0u, 1u, {54, 27, 78, 65, 41, 32, 6, 26}},
    {1000u, 42u, 0u, {569, 600, 574, 6, 451, 313, 0, 626}},
    {4096u, 42u, 1u, {3372, 3915, 731, 2221, 1866, 669, 2533, 674}},
    {50000u, 42u, 2u, {15736, 48900, 9852, 17124, 18326, 24413, 6432, 32669}},
    {60000u, 0u, 0u, {40185, 36358, 15097, 56920, 26144, 58970, 28612, 11064}},
    {65536u, 0u, 0u, {40193, 35734, 7737, 14121, 36325, 59585, 60756, 23838}},
    {65537u, 0u, 0u, {63553, 48870, 51180, 34353, 18316, 50872, 44751, 17840}},
    {65537u,
     0xFFFFFFFFFFFFFFFFu,
     0xFFFFFFFFFFFFFFFFu,
     {27226, 63705, 13476, 56000, 42772, 59053, 4615, 60880}},
    {262145u, 1u, 2u, {254522, 217664, 87469, 99281, 218643, 117827, 161111, 51374}},
    {1000000u,
     0x8000000000000000u,
     5u,
     {721104, 369279, 334698, 315828, 319285, 985851, 920935, 975209}},
    {2000000u,
     3u,
     0x8000000000000000u,
     {1000295, 1176272, 1054633, 889176, 141778, 700988, 1549667, 35352}},
    {1000000000u,
     0u,
     0u,
     {931609313, 470694439, 733444158, 154681222, 953263325, 990401486, 893980051, 40128394}},
    {0x10000000001u,
     9u,
     9u,
     {675266668274, 125673030138, 95583948573, 13056030951, 705698799443, 1072485020509,
      1049400549978, 838935880208}},
    {0xE8D4A51000u,
     0x100000000u,
     0x100000000u,
     {757237496698, 750621098350, 425587259532, 666137834514, 892415930792, 556874189697,
      499591681606, 142489184316}},
    {0x3FFFFFFFFFFFFFFFu,
     0u,
     0u,
     {4481746611599823233, 1304104631526584649, 4357887887664439881, 2869581690399376830,
      1501938945381981784, 1720400926548200020, 209438328262962035, 3414448478200427705}},
    {0x4000000000000000u,
     0u,
     0u,
     {3014388397840731138, 4134057694244316574, 1199810106463562390, 448768590585697955,
      4217481250329396978, 1634394135603351768, 3684295663524154134, 3310131347018507709}},
    {0x4000000000000000u,
     0xFFFFFFFFFFFFFFFFu,
     0xFFFFFFFFFFFFFFFFu,
     {4468404395249055444, 3718955289725334341, 3322195570719238864, 4110324263446396235,
      1880125644170366701, 1076871744498249977, 9372041663872178, 211961528349386404}},
};

TEST(Order, KeepsItsRows) {
  CHECK_EQ(kOrderVersion, 1);
  for (const Golden& golden : kGolden) {
    const Order order(golden.rows, golden.seed, golden.epoch);
    CHECK(Rows(order, 0, golden.first.size()) == golden.first);
    for (size_t i = 0; i < golden.first.size(); ++i)
      CHECK(order(i) == static_cast<uint64_t>(golden.first[i]));
  }
}

TEST(Order, HasEachRowOnceWhateverTheNumberOfRows) {
  for (uint64_t rows = 0; rows <= 5000; ++rows) CHECK(IsBijection(Order(rows, rows, 0)));
}

TEST(Order, HasEachRowOnceAroundPowersOfTwo) {
  for (int k = 12; k <= 20; ++k) {
    for (const uint64_t rows : {(1u << k) - 1, 1u << k, (1u << k) + 1}) {
      for (uint64_t epoch = 0; epoch < 3; ++epoch) CHECK(IsBijection(Order(rows, 0, epoch)));
    }
  }
}

TEST(Order, HasEachRowOnceAroundTheSizesOfItsGrid) {
  for (uint64_t height : {2, 3, 7, 100, 255, 256, 257, 1000}) {
    for (const uint64_t full : {height * height, height * (height - 1)}) {
      for (const uint64_t rows : {full - 1, full, full + 1}) CHECK(IsBijection(Order(rows, 1, 1)));
    }
  }
}

// There is no list of all rows to compare with; but if one row came twice for each few million, as
// from the shuffles that lose rows, a sample of 2^20 consecutive positions out of 2^22 would show
// it.
TEST(Order, RepeatsNoRowOfMany) {
  constexpr size_t kSample = 1 << 20;
  for (const uint64_t rows : {uint64_t{1} << 22, (uint64_t{1} << 32) + 1, uint64_t{1000000000000},
                              (uint64_t{1} << 62) - 1, uint64_t{1} << 62}) {
    for (const uint64_t first : {uint64_t{0}, rows / 2, rows - kSample}) {
      std::vector<int64_t> sample = Rows(Order(rows, 5, 6), first, kSample);
      std::sort(sample.begin(), sample.end());
      CHECK(sample.front() >= 0 && static_cast<uint64_t>(sample.back()) < rows);
      CHECK(std::adjacent_find(sample.begin(), sample.end()) == sample.end());
    }
  }
}

TEST(Order, FillsWhatItGivesOneByOne) {
  for (const uint64_t rows : {1, 2, 3, 10, 100, 300, 1000, 65537}) {
    for (uint64_t epoch = 0; epoch < 4; ++epoch) {
      const Order order(rows, 3, epoch);
      std::vector<int64_t> expected(rows);
      for (uint64_t i = 0; i < rows; ++i) expected[i] = static_cast<int64_t>(order(i));
      for (const uint64_t first : {0, 1, 2, 17, 500}) {
        for (const size_t size : {0, 1, 2, 15, 16, 17, 127, 128, 129, 400}) {
          if (first + size > rows) continue;
          const std::vector<int64_t> rows_there(expected.begin() + first,
                                                expected.begin() + first + size);
          CHECK(Rows(order, first, size) == rows_there);
        }
      }
      CHECK(Rows(order, 0, rows) == expected);
    }
  }
}

TEST(Order, MapsAnyPositionsAsOneByOne) {
  std::mt19937_64 random(5);
  for (const uint64_t rows : {1u, 2u, 3u, 7u, 64u, 1000u, 4097u, 65'537u}) {
    const Order order(rows, 3, 4);
    for (const size_t size : {0u, 1u, 2u, 15u, 16u, 127u, 128u, 129u, 1000u}) {
      std::vector<int64_t> positions(size + 1, -1);
      std::vector<int64_t> wanted(size + 1, -1);
      for (size_t i = 0; i < size; ++i) {
        // The first two, which the swap concerns, and the last often enough.
        const uint64_t position =
            random() % 4 == 0 ? (rows - 1 + random() % 3) % rows : random() % rows;
        positions[i] = static_cast<int64_t>(position);
        wanted[i] = static_cast<int64_t>(order(position));
      }
      order.Map(std::span(positions).first(size));
      CHECK_EQ(positions, wanted);
    }
  }
  constexpr uint64_t kMost = uint64_t{1} << 62;
  const Order order(kMost, 1, 2);
  std::vector<int64_t> ends = {0, 1, 2, kMost - 2, kMost - 1};
  std::vector<int64_t> wanted;
  for (const int64_t end : ends)
    wanted.push_back(static_cast<int64_t>(order(static_cast<uint64_t>(end))));
  order.Map(ends);
  CHECK_EQ(ends, wanted);
}

TEST(Order, WritesNothingPastItsEnd) {
  for (size_t size = 0; size < 200; ++size) {
    std::vector<int64_t> out(size + 200, -7);
    Order(1000, 1, 2).Fill(3, {out.data(), size});
    CHECK_EQ(std::count(out.begin(), out.end(), -7), 200);
  }
}

TEST(Order, TakesNoRowsAndOne) {
  CHECK_EQ(Order(0, 1, 2).rows(), 0u);
  CHECK(Rows(Order(0, 1, 2), 0, 0).empty());
  CHECK_EQ(Order(1, 1, 2)(0), 0u);
  CHECK(Rows(Order(1, 1, 2), 0, 1) == std::vector<int64_t>{0});
}

TEST(Order, DependsOnEachOfItsThreeNumbers) {
  const auto first = [](uint64_t rows, uint64_t seed, uint64_t epoch) {
    return Rows(Order(rows, seed, epoch), 0, 8);
  };
  std::set<std::vector<int64_t>> all{first(1000000, 0, 0)};
  for (int bit = 0; bit < 64; ++bit) {
    all.insert(first(1000000, uint64_t{1} << bit, 0));
    all.insert(first(1000000, 0, uint64_t{1} << bit));
  }
  all.insert(first(1000001, 0, 0));
  CHECK_EQ(all.size(), 130u);
}

TEST(Order, IsReadByManyThreads) {
  const Order order(100000, 1, 2);
  const std::vector<int64_t> expected = Rows(order, 0, 100000);
  std::vector<std::vector<int64_t>> seen(4);
  std::vector<std::thread> threads;
  for (auto& rows : seen) {
    threads.emplace_back([&order, &rows] { rows = Rows(order, 0, 100000); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& rows : seen) CHECK(rows == expected);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
