#include "core/readahead/array_prefetcher.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/os/page_size.h"
#include "core/os/resource_limits.h"
#include "core/readahead/access_advice.h"
#include "core/readahead/cache_samples.h"
#include "core/source/residency.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::CachedPages;
using testing::TempFolder;
using Way = ArrayPrefetcher::Way;

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kRowBytes = 16 << 10;
constexpr int64_t kRowsOfMiB = kMiB / kRowBytes;

// A file of so many rows of 16 KiB, none of which is in memory.
std::string ColdFile(const TempFolder& folder, int64_t rows, const std::string& name = "a.npy",
                     bool fortran_order = false) {
  const std::string path = folder / name;
  testing::WriteNpy(path, "'|u1'", {rows, kRowBytes},
                    testing::RandomBytes(static_cast<size_t>(rows * kRowBytes)), fortran_order);
  testing::Evict(path);
  return path;
}

struct Reading {
  std::shared_ptr<const Array> array;
  std::shared_ptr<Statistics> statistics = std::make_shared<Statistics>();
  ArrayPrefetcher reader;

  Reading(const std::vector<std::string>& paths, Way way, bool loaded = false)
      : Reading(Array::Open(paths), way, loaded) {}
  Reading(std::shared_ptr<const Array> opened, Way way, bool loaded)
      : array(std::move(opened)), reader(array, 0, 0, array->rows(), way, loaded, statistics) {}

  void RequestRows(int64_t first, int64_t rows, int64_t unit, bool keep) {
    std::vector<FileRange> ranges;
    reader.AddRanges({{first, rows}}, &ranges);
    Coalesce(&ranges);
    for (const FileRange& range : ranges) reader.Request(range, unit, keep);
  }
};

// Waits until the rows' pages are there: they were asked for.
void WaitForRows(const Array& array, int64_t first, int64_t rows) {
  for (int64_t row = first; row < first + rows; ++row) {
    const size_t number = array.FileOf(row);
    const FileRows& file = array.file_rows()[number];
    const int64_t offset = file.data_offset + (row - file.first_row) * file.row_stride;
    testing::ReadRange(array.file(number).path(), offset, kRowBytes);
  }
}

int64_t PagesOf(const std::string& path) {
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  return (bytes + PageBytes() - 1) / PageBytes();
}

TEST(ArrayPrefetcher, BytesOfASpanOfRows) {
  const TempFolder folder;
  const auto array = Array::Open(std::vector{ColdFile(folder, 100)});
  CHECK_EQ(ArrayPrefetcher::SpanBytes(*array, 0, 100), 100 * kRowBytes);
  CHECK_EQ(ArrayPrefetcher::SpanBytes(*array, 7, 8), kRowBytes);
  // In Fortran order every row is everywhere.
  const auto fortran = Array::Open(std::vector{ColdFile(folder, 50, "f.npy", true)});
  CHECK_EQ(ArrayPrefetcher::SpanBytes(*fortran, 7, 8), fortran->file_bytes());
}

TEST(ArrayPrefetcher, WhatFitsDependsOnTheOthers) {
  const TempFolder folder;
  const auto a = Array::Open(std::vector{ColdFile(folder, 100)});
  const auto b = Array::Open(std::vector{ColdFile(folder, 100, "b.npy")});
  CHECK(ArrayPrefetcher::Fits(*a, 0, 100));
  b->residency().memory.Set(UsableMemory());
  CHECK(!ArrayPrefetcher::Fits(*a, 0, 100));
  // What an array has been counted with before is not another's.
  a->residency().memory.Set(UsableMemory());
  b->residency().memory.Set(0);
  CHECK(ArrayPrefetcher::Fits(*a, 0, 100));
}

TEST(ArrayPrefetcher, AWholeLeafIsThereInTheEnd) {
  const TempFolder folder;
  const std::vector<std::string> paths = {ColdFile(folder, 300), ColdFile(folder, 1, "b.npy"),
                                          ColdFile(folder, 70, "c.npy")};
  Reading whole(paths, Way::kWhole);
  CHECK(!whole.reader.loaded());
  int64_t calls = 0;
  while (whole.reader.LoadChunk()) CHECK(++calls < 1'000);
  CHECK(whole.reader.loaded());
  CHECK(!whole.reader.LoadChunk());
  for (const std::string& path : paths) CHECK_EQ(CachedPages(path), PagesOf(path));
  CHECK(SeemsResident(*whole.array, 0, whole.array->rows()));
  CHECK(whole.reader.StillLoaded());
  // All that was read was needed, and none of it was there but for the pages of the headers.
  CHECK(whole.statistics->needed_bytes >= whole.array->file_bytes());
  CHECK(whole.statistics->read_bytes > whole.array->file_bytes() * 9 / 10);
}

TEST(ArrayPrefetcher, OfAPartOfTheRowsNothingElseIsRead) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 4 * kRowsOfMiB);
  const auto array = Array::Open(std::vector{path});
  ArrayPrefetcher reader(array, 0, kRowsOfMiB, 2 * kRowsOfMiB, Way::kWhole, false,
                         std::make_shared<Statistics>());
  while (reader.LoadChunk()) {
  }
  WaitForRows(*array, kRowsOfMiB, kRowsOfMiB);
  const std::vector<bool> cached = testing::Cached(path);
  const auto pages = static_cast<size_t>(kMiB / PageBytes());
  // Chunks reach beyond the rows, but not far; and the page of the header is there.
  CHECK_EQ(std::count(cached.begin() + 1, cached.begin() + static_cast<int64_t>(pages) - 1, true),
           0);
  for (size_t page = pages; page < 2 * pages; ++page) CHECK(cached[page]);
  CHECK_EQ(std::count(cached.begin() + static_cast<int64_t>(pages * 5 / 2), cached.end(), true), 0);
}

TEST(ArrayPrefetcher, AnArrayInFortranOrderIsReadAsAWhole) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 100, "f.npy", true);
  Reading whole({path}, Way::kWhole);
  std::vector<FileRange> ranges;
  whole.reader.AddRanges({{3, 5}}, &ranges);  // which are everywhere
  CHECK_EQ(ranges.size(), 0U);
  while (whole.reader.LoadChunk()) {
  }
  CHECK_EQ(CachedPages(path), PagesOf(path));
  CHECK(SeemsResident(*whole.array, 0, 100));
}

TEST(ArrayPrefetcher, WhatIsThereAlreadyIsNotReadAgain) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 100);
  Reading whole({path}, Way::kWhole, true);
  CHECK(whole.reader.loaded());
  CHECK(!whole.reader.LoadChunk());
  std::vector<FileRange> ranges;
  whole.reader.AddRanges({{0, 100}}, &ranges);
  CHECK_EQ(ranges.size(), 0U);
  CHECK_EQ(whole.statistics->needed_bytes.load(), 0);
}

TEST(ArrayPrefetcher, EachChunkIsAskedForOnce) {
  const TempFolder folder;
  Reading whole({ColdFile(folder, 300), ColdFile(folder, 77, "b.npy")}, Way::kWhole);
  std::set<std::pair<size_t, int64_t>> chunks;
  std::vector<FileRange> ranges;
  for (int64_t row = 375; row >= 0; row -= 3) whole.reader.AddRanges({{row, 2}}, &ranges);
  for (const FileRange& range : ranges) CHECK(chunks.insert({range.file, range.offset}).second);
  int64_t bytes = 0;
  for (const FileRange& range : ranges) {
    whole.reader.Request(range, 0, true);
    bytes += std::min(range.bytes, whole.array->file(range.file).size() - range.offset);
  }
  CHECK_EQ(bytes, whole.array->file_bytes());
  const int64_t needed = whole.statistics->needed_bytes;
  while (whole.reader.LoadChunk()) {
  }
  CHECK_EQ(whole.statistics->needed_bytes.load(), needed);
  CHECK(whole.reader.loaded());
}

TEST(ArrayPrefetcher, TheProbedEndOfAFileIsAskedForOnce) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 300);
  for (const Way way : {Way::kWhole, Way::kRows}) {
    Reading reading({path}, way);
    const int64_t last_byte = reading.array->file(0).size() - 1;
    std::vector<FileRange> first;
    reading.reader.AddRanges({{3, 1}}, &first);
    CHECK_EQ(first.size(), 2U);
    CHECK(first[1].offset <= last_byte);
    CHECK(last_byte < first[1].offset + first[1].bytes);
    std::vector<FileRange> second;
    reading.reader.AddRanges({{200, 1}}, &second);
    CHECK_EQ(second.size(), 1U);
  }
}

TEST(ArrayPrefetcher, RowsAloneAreRead) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 100);
  Reading rows({path}, Way::kRows);
  ExpectRandom(*rows.array, true);
  rows.RequestRows(10, 1, 0, true);
  rows.RequestRows(50, 3, 1, true);
  WaitForRows(*rows.array, 10, 1);
  WaitForRows(*rows.array, 50, 3);
  // Four rows of four pages and the pages that their ends share, that of the header, and the last
  // one.
  CHECK(CachedPages(path) >= 16);
  CHECK(CachedPages(path) <= 16 + 2 + 2);
  CHECK(!rows.reader.LoadChunk());
  CHECK(!rows.reader.loaded());
  CHECK(!rows.reader.DropBefore(100));
}

TEST(ArrayPrefetcher, LetsGoOfWhatItHasHadRead) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 8 * kRowsOfMiB);
  Reading rows({path}, Way::kRows);
  ExpectRandom(*rows.array, true);
  for (int64_t unit = 0; unit < 8; ++unit)
    rows.RequestRows(unit * kRowsOfMiB, kRowsOfMiB, unit, false);
  WaitForRows(*rows.array, 0, 8 * kRowsOfMiB);
  CHECK_EQ(CachedPages(path), PagesOf(path));
  CHECK(!rows.reader.DropBefore(0));
  CHECK_EQ(CachedPages(path), PagesOf(path));
  CHECK(rows.reader.DropBefore(4));
  CHECK(!rows.reader.DropBefore(4));
  const std::vector<bool> cached = testing::Cached(path);
  const auto pages = static_cast<int64_t>(kMiB / PageBytes());
  CHECK(std::count(cached.begin(), cached.begin() + 4 * pages, true) <= 1);
  CHECK(std::count(cached.begin() + 4 * pages + 1, cached.end(), false) == 0);
  CHECK(rows.reader.DropBefore(8));
  CHECK(CachedPages(path) <= 2);
}

TEST(ArrayPrefetcher, LetsNotGoOfWhatWasThereBefore) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 8 * kRowsOfMiB);
  testing::NeedsToldPages(path);
  testing::Evict(path);
  testing::ReadRange(path, 2 * kMiB, 3 * kMiB);
  Reading rows({path}, Way::kRows);
  ExpectRandom(*rows.array, true);
  for (int64_t unit = 0; unit < 8; ++unit)
    rows.RequestRows(unit * kRowsOfMiB, kRowsOfMiB, unit, false);
  WaitForRows(*rows.array, 0, 8 * kRowsOfMiB);
  rows.reader.DropBefore(8);
  const std::vector<bool> cached = testing::Cached(path);
  const auto pages = static_cast<int64_t>(kMiB / PageBytes());
  // But for a page that a piece shares with the next one.
  CHECK(std::count(cached.begin() + 2 * pages, cached.begin() + 5 * pages, false) <= 2);
  CHECK(CachedPages(path) <= 3 * pages + 2);
}

TEST(ArrayPrefetcher, LetsGoOfFilesThatAreNotOpenAnyMore) {
  const TempFolder folder;
  std::vector<std::string> paths;
  for (int i = 0; i < 40; ++i)
    paths.push_back(ColdFile(folder, kRowsOfMiB / 4, std::to_string(i) + ".npy"));
  Reading rows(paths, Way::kRows);
  ExpectRandom(*rows.array, true);
  for (int64_t i = 0; i < 40; ++i) rows.RequestRows(i * kRowsOfMiB / 4, kRowsOfMiB / 4, i, false);
  WaitForRows(*rows.array, 0, 10 * kRowsOfMiB);
  rows.reader.DropBefore(40);
  for (const std::string& path : paths) CHECK(CachedPages(path) <= 2);
}

TEST(ArrayPrefetcher, ReadsAgainWhatIsGone) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 4 * kRowsOfMiB);
  testing::NeedsToldPages(path);
  testing::Evict(path);
  Reading whole({path}, Way::kWhole, true);
  // It was said to be there, and is not; there is plenty of memory for it.
  CHECK(!whole.reader.StillLoaded());
  CHECK(whole.reader.way() == Way::kWhole);
  CHECK(!whole.reader.loaded());
  while (whole.reader.LoadChunk()) {
  }
  CHECK_EQ(CachedPages(path), PagesOf(path));
  CHECK(whole.reader.StillLoaded());
}

TEST(ArrayPrefetcher, GoesOnByRowsWhereItDoesNotFitAnyMore) {
  const TempFolder folder;
  const auto other = Array::Open(std::vector{ColdFile(folder, 10, "other.npy")});
  testing::NeedsToldPages(folder / "other.npy");
  const int64_t before = MemoryAccount::TotalBytes();
  Reading whole({ColdFile(folder, 100)}, Way::kWhole, true);
  Reading fortran({ColdFile(folder, 100, "f.npy", true)}, Way::kWhole, true);
  other->residency().memory.Set(UsableMemory());
  CHECK(!whole.reader.StillLoaded());
  CHECK(whole.reader.way() == Way::kRows);
  CHECK(whole.array->residency().advice.expected());
  CHECK_EQ(whole.array->residency().memory.bytes(), 0);
  CHECK(!whole.reader.LoadChunk());
  CHECK(whole.reader.StillLoaded());
  std::vector<FileRange> ranges;
  whole.reader.AddRanges({{5, 1}}, &ranges);
  CHECK_EQ(ranges.size(), 2U);
  CHECK(ranges[0].bytes <= kRowBytes + PageBytes());
  CHECK_EQ(ranges[1].bytes, PageBytes());  // the file's last
  // There is no other way for it, and to read it time and again would be of no use.
  CHECK(fortran.reader.StillLoaded());
  CHECK(!fortran.reader.LoadChunk());
  other->residency().memory.Set(0);
  CHECK_EQ(MemoryAccount::TotalBytes(), before + fortran.array->residency().memory.bytes());
}

TEST(ArrayPrefetcher, AFileThatWasReplacedOrTruncatedDoesNoHarm) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 4 * kRowsOfMiB);
  for (const bool truncated : {false, true}) {
    Reading whole({path}, Way::kWhole);
    Reading rows(whole.array, Way::kRows, false);
    if (truncated) {
      std::filesystem::resize_file(path, 3 * kMiB / 2);
    } else {
      std::filesystem::rename(path, folder / "old.npy");
      ColdFile(folder, 4 * kRowsOfMiB);
    }
    CHECK(!SeemsResident(*whole.array, 0, 4 * kRowsOfMiB));
    rows.RequestRows(0, 4 * kRowsOfMiB, 0, false);
    rows.reader.DropBefore(1);
    int64_t calls = 0;
    while (whole.reader.LoadChunk()) CHECK(++calls < 1'000);
    whole.reader.StillLoaded();
  }
}

TEST(ArrayPrefetcher, SeveralMayReadOneArray) {
  const TempFolder folder;
  const std::string path = ColdFile(folder, 8 * kRowsOfMiB);
  const auto array = Array::Open(std::vector{path});
  std::vector<std::thread> threads;
  for (const Way way : {Way::kWhole, Way::kRows, Way::kWhole}) {
    threads.emplace_back([&array, way] {
      for (int round = 0; round < 5; ++round) {
        Reading reading(array, way, false);
        for (int64_t unit = 0; unit < 8; ++unit) {
          ExpectRandom(*array, (unit + round) % 2 == 0);
          reading.RequestRows(unit * kRowsOfMiB, kRowsOfMiB, unit, false);
          reading.reader.DropBefore(unit);
          reading.reader.LoadChunk();
          ArrayPrefetcher::Fits(*array, 0, unit + 1);
        }
        while (reading.reader.LoadChunk()) {
        }
        reading.reader.StillLoaded();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
