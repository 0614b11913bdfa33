#include "core/order/block_order.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "core/order/splitmix.h"
#include "tests/core/support/check.h"

namespace npyfast {
namespace {

using RowNumbers = std::vector<int64_t>;

RowNumbers Rows(const BlockOrder& order, uint64_t first, size_t size) {
  RowNumbers rows(size, -1);
  order.Fill(first, rows);
  return rows;
}

RowNumbers Whole(const Order& order) {
  RowNumbers rows(order.rows());
  order.Fill(0, rows);
  return rows;
}

// The windows of an order, by the definition in docs/order.md.
std::vector<RowNumbers> Windows(uint64_t rows, uint64_t seed, uint64_t epoch,
                                const BlockSizes& sizes) {
  RowNumbers rotated(rows);
  std::iota(rotated.begin(), rotated.end(), 0);
  const uint64_t rotation = MultiplyHigh(Chain({seed, epoch, rows, 1, 0}), rows);
  std::rotate(rotated.begin(), rotated.begin() + static_cast<int64_t>(rotation), rotated.end());

  const int64_t blocks = static_cast<int64_t>(rows) / sizes.block_rows;
  const int64_t in_window = std::max<int64_t>(1, sizes.window_rows / sizes.block_rows);
  const int64_t windows = std::max<int64_t>(1, (blocks + in_window - 1) / in_window);
  const RowNumbers block_at =
      Whole(Order(static_cast<uint64_t>(blocks), Chain({seed, epoch, rows, 2, 0}), 0));
  std::vector<RowNumbers> made(static_cast<size_t>(windows));
  for (int64_t w = 0; w < windows; ++w) {
    RowNumbers in_order;
    for (int64_t slot = w * blocks / windows; slot < (w + 1) * blocks / windows; ++slot) {
      const auto start = rotated.begin() + block_at[static_cast<size_t>(slot)] * sizes.block_rows;
      in_order.insert(in_order.end(), start, start + sizes.block_rows);
    }
    if (w + 1 == windows)
      in_order.insert(in_order.end(), rotated.begin() + blocks * sizes.block_rows, rotated.end());
    const uint64_t window_seed = Chain({seed, epoch, rows, 3, static_cast<uint64_t>(w)});
    for (const int64_t place : Whole(Order(in_order.size(), window_seed, 0)))
      made[static_cast<size_t>(w)].push_back(in_order[static_cast<size_t>(place)]);
  }
  return made;
}

RowNumbers RowsOfSlots(const BlockOrder& order, int64_t first, int64_t end) {
  RowNumbers rows;
  for (int64_t slot = first; slot < end; ++slot) {
    for (const auto& [start, count] : order.SlotRows(slot)) {
      for (int64_t i = 0; i < count; ++i) rows.push_back(start + i);
    }
  }
  return rows;
}

RowNumbers Sorted(RowNumbers rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

struct Golden {
  uint64_t rows, seed, epoch;
  BlockSizes sizes;
  uint64_t first;
  RowNumbers wanted;
};

// The algorithm's fingerprint, the same table as in tests/order/test_block_order.py. A change here
// breaks every checkpoint taken before: it needs a new kBlockOrderVersion.
const Golden kGolden[] = {
    {1u, 0u, 0u, {1, 1}, 0u, {0}},
    {2u, 0u, 0u, {1, 1}, 0u, {1, 0}},
    {2u, 0u, 1u, {2, 2}, 0u, {1, 0}},
    {5u, 0u, 0u, {2, 4}, 0u, {3, 2, 4, 1, 0}},
    {5u, 0u, 1u, {2, 4}, 0u, {4, 2, 0, 3, 1}},
    {9u, 0u, 0u, {2, 4}, 0u, {4, 5, 6, 3, 8, 7, 2, 0, 1}},
    {9u, 1u, 0u, {2, 4}, 0u, {6, 7, 4, 5, 3, 0, 8, 1, 2}},
    {9u, 0u, 0u, {3, 1}, 0u, {6, 7, 5, 4, 3, 2, 8, 1, 0}},
    {10u, 3u, 2u, {20, 40}, 0u, {7, 2, 6, 3, 1, 5, 8, 0, 4, 9}},
    {100u, 1u, 0u, {7, 20}, 0u, {62, 91, 64, 89, 60, 59, 87, 90}},
    {100u, 1u, 0u, {7, 20}, 92u, {19, 14, 12, 15, 11, 16, 21, 20}},
    {1000u, 42u, 0u, {10, 100}, 0u, {982, 984, 84, 95, 420, 318, 559, 957}},
    {1000u, 42u, 1u, {10, 100}, 0u, {954, 16, 381, 946, 378, 8, 204, 951}},
    {1000u, 42u, 1u, {10, 100}, 98u, {85, 343, 927, 713}},
    {65537u, 0u, 0u, {341, 4096}, 0u, {52381, 22886, 22822, 12186, 22842, 31567, 43234, 23382}},
    {65537u,
     0xFFFFFFFFFFFFFFFFu,
     0xFFFFFFFFFFFFFFFFu,
     {16, 65537},
     0u,
     {14392, 56538, 60816, 14680, 12195, 19598, 49513, 41713}},
    {1000000u,
     0x8000000000000000u,
     5u,
     {1, 1000},
     0u,
     {937270, 653246, 595904, 501056, 25609, 373463, 627815, 964313}},
    {2000000u,
     3u,
     0x8000000000000000u,
     {341, 349525},
     600000u,
     {464686, 1171700, 333329, 1956424, 95034, 1222292, 1136844, 107590}},
    {1000000000u,
     0u,
     0u,
     {341, 349525},
     0u,
     {778312043, 580238419, 238592527, 291798792, 133585930, 503961875, 328243899, 235961625}},
    {1000000000u,
     0u,
     0u,
     {341, 349525},
     999999992u,
     {644344034, 429787097, 755495302, 616206970, 729694454, 694444557, 577066507, 451691932}},
    {0xE8D4A51000u,
     0x100000000u,
     0x100000000u,
     {21, 21845},
     0x746A528800u,
     {609334101504, 573180452830, 540551416684, 216509125267, 103005437693, 775221498955,
      958377550108, 228069413007}},
    {0x3FFFFFFFFFFFFFFFu,
     0u,
     0u,
     {341, 349525},
     0x2000000000000000u,
     {130809179506095502, 3481487680409864829, 434738879244381511, 2601468037517021179,
      3954969946421768526, 853223428284976727, 4003457708639437432, 2684082937719492759}},
    {0x4000000000000000u,
     7u,
     9u,
     {1048576, 1073741824},
     0x3FFFFFFFFFFFFFF8u,
     {2486576623704498084, 1319207798983334660, 1063650517223066960, 4314793505599718329,
      2497237086188466948, 2185510458860753221, 823559769615178652, 1440985137148950579}},
    {0x4000000000000000u,
     1u,
     2u,
     {1, 4611686018427387904},
     0u,
     {469237816904088790, 1078388422067105523, 1741274237337508440, 2373437790274851712,
      4328463541009332267, 3379961065211604931, 3492995872954690749, 3573696238726684587}},
};

TEST(BlockOrder, KeepsItsRows) {
  CHECK_EQ(kBlockOrderVersion, 1);
  for (const auto& [rows, seed, epoch, sizes, first, wanted] : kGolden)
    CHECK_EQ(Rows(BlockOrder(rows, seed, epoch, sizes), first, wanted.size()), wanted);
}

// Every number of rows, of a block and of a window there is below a bound, by the definition: so
// each row comes once, and what is said of the slots is so.
TEST(BlockOrder, IsWhatItsDefinitionSays) {
  for (uint64_t rows = 0; rows <= 40; ++rows) {
    for (int64_t block = 1; block <= 42; ++block) {
      for (int64_t window = 1; window <= 43; window += window < 12 ? 1 : 5) {
        const BlockSizes sizes{block, window};
        const uint64_t epoch = static_cast<uint64_t>(block * window);
        const BlockOrder order(rows, rows, epoch, sizes);
        const RowNumbers all = Rows(order, 0, rows);
        uint64_t position = 0;
        int64_t slot = 0;
        for (const RowNumbers& wanted : Windows(rows, rows, epoch, sizes)) {
          const auto begin = all.begin() + static_cast<int64_t>(position);
          CHECK(std::equal(wanted.begin(), wanted.end(), begin));
          if (wanted.empty()) continue;
          const int64_t end = order.EndSlotOf(position);
          for (size_t i = 0; i < wanted.size(); ++i) {
            CHECK_EQ(order.FirstSlotOf(position + i), slot);
            CHECK_EQ(order.EndSlotOf(position + i), end);
          }
          CHECK_EQ(RowsOfSlots(order, slot, end).size(), wanted.size());
          CHECK(Sorted(RowsOfSlots(order, slot, end)) == Sorted(wanted));
          position += wanted.size();
          slot = end;
        }
        CHECK_EQ(position, rows);
        CHECK_EQ(slot, order.slots());
        RowNumbers each(rows);
        std::iota(each.begin(), each.end(), 0);
        CHECK(Sorted(all) == each);
      }
    }
  }
}

// More blocks than a thread remembers.
TEST(BlockOrder, HasLargeWindowsOfSmallBlocks) {
  for (const BlockSizes& sizes :
       {BlockSizes{1, 4095}, {1, 4096}, {1, 4097}, {1, 50000}, {3, 30000}, {7, 1 << 20}}) {
    RowNumbers wanted;
    for (const RowNumbers& window : Windows(65537, 1, 2, sizes))
      wanted.insert(wanted.end(), window.begin(), window.end());
    CHECK(Rows(BlockOrder(65537, 1, 2, sizes), 0, 65537) == wanted);
  }
}

TEST(BlockOrder, FillsFromAnywhere) {
  const BlockOrder order(1000, 3, 4, {.block_rows = 7, .window_rows = 90});
  const BlockOrder other(1000, 3, 5, {.block_rows = 7, .window_rows = 90});
  const RowNumbers all = Rows(order, 0, 1000);
  const RowNumbers others = Rows(other, 0, 1000);
  for (uint64_t first = 0; first < 1000; first += 13) {
    for (const size_t size : {0, 1, 31, 100, 400}) {
      if (first + size > 1000) continue;
      const auto part = [&](const RowNumbers& rows) {
        return RowNumbers(rows.begin() + static_cast<int64_t>(first),
                          rows.begin() + static_cast<int64_t>(first + size));
      };
      // In turns, so that neither finds its window as it left it.
      CHECK(Rows(order, first, size) == part(all));
      CHECK(Rows(other, first, size) == part(others));
    }
  }
}

TEST(BlockOrder, WritesNothingPastItsEnd) {
  for (size_t size = 0; size < 200; ++size) {
    RowNumbers out(size + 200, -7);
    BlockOrder(1000, 1, 2, {.block_rows = 8, .window_rows = 64}).Fill(3, {out.data(), size});
    CHECK_EQ(std::count(out.begin(), out.end(), -7), 200);
  }
}

TEST(BlockOrder, TakesNoRows) {
  const BlockOrder order(0, 1, 2, {.block_rows = 3, .window_rows = 7});
  CHECK_EQ(order.slots(), 0);
  CHECK(Rows(order, 0, 0).empty());
}

// There is no list of all rows to compare with; but no row may come twice in what there is.
TEST(BlockOrder, RepeatsNoRowOfMany) {
  constexpr size_t kSample = 1 << 18;
  constexpr int64_t kMost = int64_t{1} << 62;
  for (const uint64_t rows :
       {(uint64_t{1} << 32) + 1, (uint64_t{1} << 62) - 1, uint64_t{1} << 62}) {
    for (const BlockSizes& sizes :
         {BlockSizes{341, 349525}, {1, 1}, {1, 1 << 20}, {kMost, kMost}, {1, kMost}}) {
      const BlockOrder order(rows, 5, 6, sizes);
      RowNumbers sample;
      for (const uint64_t first : {uint64_t{0}, rows / 2, rows - kSample}) {
        const RowNumbers part = Rows(order, first, kSample);
        sample.insert(sample.end(), part.begin(), part.end());
      }
      std::sort(sample.begin(), sample.end());
      CHECK(sample.front() >= 0 && static_cast<uint64_t>(sample.back()) < rows);
      CHECK(std::adjacent_find(sample.begin(), sample.end()) == sample.end());
      CHECK_EQ(order.EndSlotOf(rows - 1), order.slots());
      CHECK_EQ(order.FirstSlotOf(0), 0);
    }
  }
}

TEST(BlockOrder, DependsOnEachOfItsNumbers) {
  const auto first = [](uint64_t rows, uint64_t seed, uint64_t epoch, const BlockSizes& sizes) {
    return Rows(BlockOrder(rows, seed, epoch, sizes), 0, 8);
  };
  const BlockSizes sizes{100, 10000};
  std::set<RowNumbers> all{first(1000000, 0, 0, sizes)};
  for (int bit = 0; bit < 64; ++bit) {
    all.insert(first(1000000, uint64_t{1} << bit, 0, sizes));
    all.insert(first(1000000, 0, uint64_t{1} << bit, sizes));
  }
  all.insert(first(1000001, 0, 0, sizes));
  all.insert(first(1000000, 0, 0, {101, 10000}));
  all.insert(first(1000000, 0, 0, {100, 20000}));
  CHECK_EQ(all.size(), 132u);
}

TEST(BlockOrder, IsReadByManyThreads) {
  const BlockOrder order(100000, 1, 2, {.block_rows = 50, .window_rows = 5000});
  const RowNumbers expected = Rows(order, 0, 100000);
  std::vector<RowNumbers> seen(4, RowNumbers(100000));
  std::vector<std::thread> threads;
  for (auto& rows : seen) {
    threads.emplace_back([&order, &rows] {
      for (size_t i = 0; i < rows.size(); i += 32) order.Fill(i, std::span(rows).subspan(i, 32));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& rows : seen) CHECK(rows == expected);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
