#include "core/readahead/piece_layout.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/gather/gather.h"
#include "core/os/direct_file.h"
#include "core/source/array.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using Addresses = std::vector<const std::byte*>;
using Ranges = std::vector<PieceRange>;
using Rows = std::vector<int64_t>;

constexpr int64_t kBlock = 4096;

// An array of files of so many rows each, whose bytes are random, and memory for a piece.
struct Example {
  Example(const std::vector<int64_t>& files, int64_t row_bytes, size_t memory = 1 << 20)
      : bytes_of_row(row_bytes), buffers(memory) {
    std::vector<std::string> paths;
    for (const int64_t rows : files) {
      const std::vector<std::byte> data =
          testing::RandomBytes(static_cast<size_t>(rows * row_bytes), paths.size() + 1);
      contents.insert(contents.end(), data.begin(), data.end());
      paths.push_back(folder / (std::to_string(paths.size()) + ".npy"));
      testing::WriteNpy(paths.back(), "'|u1'", {rows, row_bytes}, data);
    }
    array = Array::Open(paths);
    for (const std::string& path : paths) testing::Evict(path);
    for (size_t i = 0; i < array->file_rows().size(); ++i) {
      opened.push_back(DirectFile::Open(array->file(i)));
      testing::NeedsDirectReads(paths[i], opened.back() != nullptr);
    }
    layout = std::make_unique<PieceLayout>(*array, [this](size_t file) { return opened[file]; });
    memory_left = {buffers.bytes().data(), buffers.bytes().data() + buffers.bytes().size()};
  }

  Addresses Place(const Rows& rows) {
    Addresses addresses = {nullptr};
    layout->PlaceRows(rows, &memory_left, &addresses, &ranges);
    CHECK_EQ(addresses.size(), rows.size());
    return addresses;
  }
  std::vector<PlacedRows> PlaceStretches(const std::vector<RowStretch>& stretches) {
    std::vector<PlacedRows> placed = {{-1, 1, nullptr}};
    layout->PlaceStretches(stretches, &memory_left, &placed, &ranges);
    return placed;
  }
  // Reads all ranges, none of which may overlap another in memory.
  void Read() {
    std::memset(buffers.bytes().data(), 0, buffers.bytes().size());
    const std::byte* end = buffers.bytes().data();
    for (const PieceRange& range : ranges) {
      const int64_t unit = range.opened->alignment();
      CHECK(range.out >= end);
      CHECK(range.bytes > 0 && range.bytes % unit == 0 && range.offset % unit == 0);
      CHECK_EQ(reinterpret_cast<uintptr_t>(range.out) % static_cast<uintptr_t>(unit), 0U);
      end = range.out + range.bytes;
      CHECK(end <= memory_left.next);
      const ssize_t got = ::pread(range.opened->descriptor(), range.out,
                                  static_cast<size_t>(range.bytes), range.offset);
      CHECK_EQ(got, std::min(range.bytes, range.file->size() - range.offset));
    }
    CHECK(memory_left.next <= memory_left.end);
  }
  bool IsRow(int64_t row, const std::byte* at) const {
    return std::memcmp(at, contents.data() + row * bytes_of_row,
                       static_cast<size_t>(bytes_of_row)) == 0;
  }

  int64_t bytes_of_row;
  testing::TempFolder folder;
  std::vector<std::byte> contents;
  std::shared_ptr<const Array> array;
  std::vector<std::shared_ptr<const DirectFile>> opened;
  DirectBuffers buffers;
  PieceLayout::Memory memory_left{};
  std::unique_ptr<PieceLayout> layout;
  Ranges ranges;
};

TEST(PieceLayout, AddressesLeadToTheRows) {
  std::mt19937_64 random(7);
  for (const int64_t row_bytes : {1, 100, 4096, 5000, 20'000}) {
    Example example({50, 0, 1, 200}, row_bytes, 64 << 20);
    for (int round = 0; round < 20; ++round) {
      example.ranges.clear();
      example.memory_left.next = example.buffers.bytes().data();
      Rows rows;
      for (int i = 0; i < 60; ++i) rows.push_back(static_cast<int64_t>(random() % 251));
      const Addresses addresses = example.Place(rows);
      example.Read();
      CHECK(example.layout->refused().empty());
      CHECK_EQ(example.layout->resident_bytes(), 0);
      for (size_t i = 0; i < rows.size(); ++i) {
        CHECK(addresses[i] != nullptr);
        CHECK(example.IsRow(rows[i], addresses[i]));
      }
    }
  }
}

// Rows that are tiles of images, of one width in the first file and of another one in the second.
TEST(PieceLayout, RunsOfRowsLieAsTheirImageSays) {
  const testing::TempFolder folder;
  std::vector<Extent> extents;
  for (const int64_t width : {9001, 30000}) {
    extents.push_back({folder / (std::to_string(width) + ".npy")});
    testing::WriteNpy(extents.back().path, "'|u1'", {40, width},
                      testing::RandomBytes(static_cast<size_t>(40 * width)));
  }
  const auto array =
      Array::Open(extents, Array::Map::kNow, {.window = {20, 700}, .stride = {5, 900}});
  CHECK(!array->has_dense_rows());
  const Gather gather(array, Fields::kTogether);
  std::vector<std::shared_ptr<const DirectFile>> opened;
  for (size_t i = 0; i < 2; ++i) {
    opened.push_back(DirectFile::Open(array->file(i)));
    testing::NeedsDirectReads(extents[i].path, opened.back() != nullptr);
  }
  PieceLayout layout(*array, [&](size_t file) { return opened[file]; });
  DirectBuffers buffers(16 << 20);
  std::byte* const begin = buffers.bytes().data();
  // As if another leaf, of a device with small blocks, had been placed before.
  PieceLayout::Memory memory{begin + 512, begin + buffers.bytes().size()};
  Rows rows;
  for (int64_t row = array->rows() - 1; row >= 0; row -= 3) rows.push_back(row);
  Addresses addresses;
  Ranges ranges;
  layout.PlaceRows(rows, &memory, &addresses, &ranges);
  CHECK(layout.refused().empty());
  for (const PieceRange& range : ranges) {
    const int64_t unit = range.opened->alignment();
    CHECK_EQ(reinterpret_cast<uintptr_t>(range.out) % static_cast<uintptr_t>(unit), 0U);
    CHECK(range.out >= begin && range.out + range.bytes <= memory.next);
    CHECK(::pread(range.opened->descriptor(), range.out, static_cast<size_t>(range.bytes),
                  range.offset) > 0);
  }
  std::vector<std::byte> from_file(static_cast<size_t>(gather.row_bytes()) * rows.size());
  std::vector<std::byte> from_memory(from_file.size());
  std::byte* out = from_file.data();
  gather.Rows(rows, &out);
  out = from_memory.data();
  gather.Rows(rows, &out, Stores::kCached, addresses.data());
  CHECK(from_file == from_memory);

  // Some from the file, and others from memory.
  for (size_t i = 0; i < addresses.size(); i += 2) addresses[i] = nullptr;
  std::fill(from_memory.begin(), from_memory.end(), std::byte{});
  gather.Rows(rows, &out, Stores::kCached, addresses.data());
  CHECK(from_file == from_memory);

  // Where there is no room for a whole row, it is refused.
  memory.end = memory.next + 20 * 700;
  layout.PlaceRows(rows, &memory, &addresses, &ranges);
  CHECK_EQ(layout.refused().size(), rows.size());
  CHECK(std::ranges::all_of(addresses, [](const std::byte* at) { return at == nullptr; }));
}

TEST(PieceLayout, StretchesReachThroughFiles) {
  Example example({30, 5, 40}, 1000);
  const std::vector<PlacedRows> placed = example.PlaceStretches({{60, 10}, {20, 20}, {0, 5}});
  example.Read();
  int64_t rows = 0;
  for (const PlacedRows& some : placed) {
    for (int64_t i = 0; i < some.rows; ++i)
      CHECK(example.IsRow(some.first + i, some.at + i * example.bytes_of_row));
    rows += some.rows;
  }
  CHECK_EQ(rows, 35);
}

TEST(PieceLayout, StretchesInThePageCacheAreLeftOut) {
  Example example({2000, 2000}, kBlock);
  const std::string path = example.array->file(1).path();
  testing::NeedsToldPages(path);
  testing::ReadRange(path, 100 * kBlock, 200 * kBlock);
  const auto placed = example.PlaceStretches({{2100, 50}, {2290, 20}, {0, 10}});
  example.Read();
  CHECK_EQ(example.layout->resident_bytes(), 50 * kBlock);
  CHECK_EQ(placed.size(), 2U);  // of which some of the first is in memory, but not all
  for (const PlacedRows& some : placed) CHECK(some.first != 2100);
}

TEST(PieceLayout, RowsThatTouchAreReadTogether) {
  Example example({2000}, kBlock);
  // On the same block and on the next ones, in any order; and far away.
  example.Place({2, 0, 1, 0});
  CHECK_EQ(example.ranges.size(), 1U);
  CHECK_EQ(example.ranges[0].offset, 0);
  CHECK(example.ranges[0].bytes <= 4 * kBlock);
  example.ranges.clear();
  example.Place({1900, 3});
  CHECK_EQ(example.ranges.size(), 2U);
  CHECK(example.ranges[0].offset < example.ranges[1].offset);
  // Never with those of an earlier call.
  example.Place({1900});
  CHECK_EQ(example.ranges.size(), 3U);
  example.Read();
}

TEST(PieceLayout, NoRangeIsOfTwoFiles) {
  Example example({10, 10}, 100);
  example.Place({9, 10});
  CHECK_EQ(example.ranges.size(), 2U);
  CHECK(example.ranges[0].file != example.ranges[1].file);
  example.Read();
}

TEST(PieceLayout, RowsWithoutMemoryAreLeftOut) {
  Example example({1000}, kBlock);
  std::byte* const begin = example.memory_left.next;
  example.Place({700});
  example.ranges.clear();
  const auto bytes_of_one = example.memory_left.next - begin;
  example.memory_left = {begin, begin + 2 * bytes_of_one};
  const Rows rows = {900, 100, 500};
  const Addresses addresses = example.Place(rows);
  example.Read();
  CHECK_EQ(example.layout->refused().size(), 1U);
  CHECK_EQ(example.layout->refused()[0].first, 900);
  CHECK_EQ(example.layout->refused()[0].rows, 1);
  CHECK(addresses[0] == nullptr);
  CHECK(example.IsRow(100, addresses[1]));
  CHECK(example.IsRow(500, addresses[2]));
  // By the next call as well, which says so for itself.
  CHECK_EQ(example.Place({0}), Addresses{nullptr});
  CHECK_EQ(example.layout->refused().size(), 1U);
  CHECK_EQ(example.layout->refused()[0].first, 0);
  CHECK(example.PlaceStretches({{7, 2}}).empty());
  CHECK_EQ(example.layout->refused()[0].rows, 2);
}

TEST(PieceLayout, FilesWithoutDirectReadsAreLeftOut) {
  Example example({10, 10}, 100);
  example.opened[0] = nullptr;
  const Addresses addresses = example.Place({3, 13});
  example.Read();
  CHECK(addresses[0] == nullptr);
  CHECK(example.IsRow(13, addresses[1]));
  CHECK_EQ(example.layout->refused().size(), 1U);
  CHECK_EQ(example.layout->refused()[0].first, 3);
}

TEST(PieceLayout, ResidentRowsAreLeftOut) {
  Example example({1000}, 4096);
  ResidentChunks& resident = example.array->residency().resident;
  const Chunks chunks(*example.array);
  for (int64_t chunk = 0; chunk < 4; ++chunk) resident.Set(chunk, true);
  // Of row 255, the last bytes are in chunk 4.
  Addresses addresses = example.Place({0, 100, 255, 256});
  example.Read();
  CHECK(addresses[0] == nullptr && addresses[1] == nullptr);
  CHECK(example.IsRow(255, addresses[2]));
  CHECK(example.IsRow(256, addresses[3]));
  CHECK_EQ(example.layout->resident_bytes(), 2 * 4096);
  CHECK(example.layout->refused().empty());
  // From then on it is read again.
  resident.Set(0, false);
  example.ranges.clear();
  example.memory_left.next = example.buffers.bytes().data();
  addresses = example.Place({0, 100});
  example.Read();
  CHECK(example.IsRow(0, addresses[0]));
  CHECK(addresses[1] == nullptr);
  CHECK_EQ(example.layout->resident_bytes(), 4096);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
