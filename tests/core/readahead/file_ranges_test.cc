#include "core/readahead/file_ranges.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/os/page_size.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::TempFolder;

// A page of a leaf: leaf, file, number in its file.
using Page = std::tuple<size_t, size_t, int64_t>;
using Pages = std::set<Page>;

// Bytes of a header with so short a description.
constexpr int64_t kHeader = 128;

// Files of so many rows each.
std::shared_ptr<const Array> Files(const TempFolder& folder, const std::vector<int64_t>& rows,
                                   int64_t row_bytes) {
  std::vector<std::string> paths;
  for (const int64_t count : rows) {
    paths.push_back(folder / (std::to_string(paths.size()) + ".npy"));
    testing::WriteNpy(paths.back(), "'|u1'", {count, row_bytes},
                      testing::RandomBytes(static_cast<size_t>(count * row_bytes)));
  }
  return Array::Open(paths);
}

// Byte by byte.
void AddNaively(const Array& array, size_t leaf, const std::vector<RowStretch>& stretches,
                Pages* pages) {
  for (const RowStretch& stretch : stretches) {
    for (int64_t row = stretch.first; row < stretch.first + stretch.rows; ++row) {
      for (size_t number = 0; number < array.file_rows().size(); ++number) {
        const FileRows& file = array.file_rows()[number];
        if (row < file.first_row || row >= file.first_row + file.rows) continue;
        const int64_t first = file.data_offset + (row - file.first_row) * file.row_stride;
        for (int64_t byte = first; byte < first + file.row_stride; ++byte)
          pages->insert({leaf, number, byte / PageBytes()});
      }
    }
  }
}

Pages PagesOf(const std::vector<FileRange>& ranges) {
  Pages pages;
  for (const FileRange& range : ranges) {
    CHECK(range.bytes > 0);
    CHECK_EQ(range.offset % PageBytes(), 0);
    CHECK_EQ(range.bytes % PageBytes(), 0);
    for (int64_t at = range.offset; at < range.offset + range.bytes; at += PageBytes())
      pages.insert({range.leaf, range.file, at / PageBytes()});
  }
  return pages;
}

void CheckCoalesced(const std::vector<FileRange>& ranges) {
  for (size_t i = 1; i < ranges.size(); ++i) {
    const FileRange& a = ranges[i - 1];
    const FileRange& b = ranges[i];
    const bool same = a.leaf == b.leaf && a.file == b.file;
    CHECK(std::tie(a.leaf, a.file) <= std::tie(b.leaf, b.file));
    if (same) CHECK(a.offset + a.bytes < b.offset);
  }
}

void CheckRows(const Array& array, const std::vector<RowStretch>& stretches, size_t leaf = 0) {
  std::vector<FileRange> ranges;
  AddPages(array, leaf, stretches, &ranges);
  Pages wanted;
  AddNaively(array, leaf, stretches, &wanted);
  CHECK_EQ(PagesOf(ranges), wanted);
  Coalesce(&ranges);
  CHECK_EQ(PagesOf(ranges), wanted);
  CheckCoalesced(ranges);
}

TEST(FileRanges, OfNoRowsThereAreNone) {
  const TempFolder folder;
  const auto array = Files(folder, {10}, 100);
  CheckRows(*array, {});
  CheckRows(*array, {{0, 0}, {10, 0}, {3, 0}});
  std::vector<FileRange> none;
  Coalesce(&none);
  CHECK_EQ(none.size(), 0U);
}

TEST(FileRanges, RowsOnPageBorders) {
  const TempFolder folder;
  // The header takes as much as some rows do: borders of rows are borders of pages.
  const int64_t row = 64;
  const int64_t in_page = PageBytes() / row;
  const auto array = Files(folder, {8 * in_page}, row);
  CHECK_EQ(array->file_rows()[0].data_offset, kHeader);
  const int64_t border = in_page - kHeader / row;  // the row that begins the second page
  for (int64_t first = border - 2; first <= border + 2; ++first)
    for (int64_t rows = 0; rows <= in_page + 2; ++rows) CheckRows(*array, {{first, rows}});
  std::vector<FileRange> ranges;
  AddPages(*array, 0, {{border, in_page}}, &ranges);
  CHECK_EQ(ranges.size(), 1U);
  CHECK_EQ(ranges[0].offset, PageBytes());
  CHECK_EQ(ranges[0].bytes, PageBytes());
}

TEST(FileRanges, AStretchGoesOverSeveralFiles) {
  const TempFolder folder;
  const auto array = Files(folder, {3, 0, 1, 40, 7}, 1000);
  for (int64_t first = 0; first < 51; first += 1)
    for (const int64_t rows : {int64_t{1}, int64_t{2}, int64_t{5}, 51 - first})
      CheckRows(*array, {{first, std::min(rows, 51 - first)}});
}

TEST(FileRanges, TheLastRowEndsWithTheFilesLastPage) {
  const TempFolder folder;
  const auto array = Files(folder, {5}, 3001);
  std::vector<FileRange> ranges;
  AddPages(*array, 2, {{4, 1}}, &ranges);
  CHECK_EQ(ranges.size(), 1U);
  CHECK_EQ(ranges[0].leaf, 2U);
  CHECK(ranges[0].offset + ranges[0].bytes >= array->file(0).size());
  CHECK(ranges[0].offset + ranges[0].bytes < array->file(0).size() + PageBytes());
}

TEST(FileRanges, RowsOfNoBytesHaveNoPages) {
  const TempFolder folder;
  const std::string path = folder / "empty.npy";
  testing::WriteNpy(path, "'|V0'", {1000, 3}, {});
  const auto array = Array::Open(std::vector{path});
  std::vector<FileRange> ranges;
  AddPages(*array, 0, {{0, 1000}}, &ranges);
  CHECK_EQ(ranges.size(), 0U);
}

TEST(FileRanges, RandomStretchesOfRandomArrays) {
  std::mt19937_64 random(7);
  const auto below = [&random](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  for (int round = 0; round < 60; ++round) {
    const TempFolder folder;
    std::vector<int64_t> files;
    for (int64_t s = below(4) + 1; s > 0; --s) files.push_back(below(60));
    files.push_back(1 + below(20));
    const int64_t row_bytes = below(2) == 0 ? 1 + below(50) : 1 + below(9000);
    const auto array = Files(folder, files, row_bytes);
    std::vector<RowStretch> stretches;
    for (int64_t i = below(20); i > 0; --i) {
      const int64_t first = below(array->rows());
      stretches.push_back({first, below(array->rows() - first + 1)});
    }
    CheckRows(*array, stretches, static_cast<size_t>(below(3)));
  }
}

TEST(FileRanges, LeavesStayApart) {
  const TempFolder folder;
  const TempFolder other_folder;
  const auto a = Files(folder, {30, 30}, 500);
  const auto b = Files(other_folder, {60}, 900);
  std::vector<FileRange> ranges;
  Pages wanted;
  for (int64_t row = 59; row >= 0; row -= 3) {
    AddPages(*b, 1, {{row, 1}}, &ranges);
    AddPages(*a, 0, {{row, 1}}, &ranges);
    AddNaively(*a, 0, {{row, 1}}, &wanted);
    AddNaively(*b, 1, {{row, 1}}, &wanted);
  }
  Coalesce(&ranges);
  CHECK_EQ(PagesOf(ranges), wanted);
  CheckCoalesced(ranges);
}

// What lies within another range, begins with it, or touches it.
TEST(FileRanges, CoalesceOverlaps) {
  const int64_t page = PageBytes();
  std::vector<FileRange> ranges = {
      {0, 0, 10 * page, 2 * page}, {0, 0, 0, 5 * page},    {0, 0, page, page},
      {0, 0, 5 * page, page},      {0, 0, 0, page},        {0, 1, 6 * page, page},
      {1, 0, 12 * page, page},     {0, 0, 7 * page, page}, {0, 0, 11 * page, 3 * page}};
  const Pages wanted = PagesOf(ranges);
  Coalesce(&ranges);
  CHECK_EQ(PagesOf(ranges), wanted);
  CheckCoalesced(ranges);
  CHECK_EQ(ranges.size(), 5U);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
