#include "core/source/row_view.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/errors.h"
#include "core/npy/shape.h"
#include "core/os/page_size.h"
#include "core/source/array.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::RandomBytes;
using testing::TempFolder;
using testing::WriteNpy;

using Numbers = std::vector<int64_t>;

std::vector<int64_t> Offsets(const FileRows& rows) {
  std::vector<int64_t> offsets;
  for (int64_t row = 0; row < rows.rows; ++row)
    offsets.push_back(rows.data_offset + rows.OffsetOf(row));
  return offsets;
}

FileRows Of(const RowView& view, const Numbers& shape, int64_t itemsize, bool fortran = false) {
  return RowsOf(view, "a", shape, DenseStrides(shape, itemsize, fortran), itemsize);
}

TEST(RowView, WithoutAWindowRowsAreIndexesOnAxis0) {
  const FileRows rows = Of({}, {4, 3, 5}, 2);
  CHECK_EQ(Offsets(rows), (Numbers{0, 30, 60, 90}));
  CHECK_EQ(rows.strides, (Numbers{10, 2}));
  CHECK_EQ(rows.row_bytes, 30);
  CHECK(rows.IsDense(Numbers{3, 5}, 2));
  CHECK(!Of({}, {4, 3, 5}, 2, true).IsDense(Numbers{3, 5}, 2));
}

TEST(RowView, WindowsOverOneAxisAreEquallyFarApart) {
  const FileRows rows = Of({.window = {4}, .stride = {3}}, {12, 2}, 2);
  CHECK(rows.places.empty());
  CHECK_EQ(Offsets(rows), (Numbers{0, 12, 24}));
  CHECK_EQ(rows.row_bytes, 16);
  CHECK(rows.IsDense(Numbers{4, 2}, 2));
}

TEST(RowView, PlacesAreInCOrder) {
  const FileRows rows = Of({.window = {2, 3}, .stride = {1, 2}}, {4, 6}, 1);
  CHECK_EQ(Offsets(rows), (Numbers{0, 2, 6, 8, 12, 14}));
  CHECK_EQ(rows.row_bytes, 9);
  CHECK(!rows.IsDense(Numbers{2, 3}, 1));
  const FileRows fortran = Of({.window = {2, 3}, .stride = {1, 2}}, {4, 6}, 1, true);
  CHECK_EQ(Offsets(fortran), (Numbers{0, 8, 1, 9, 2, 10}));
}

TEST(RowView, AxesThatContinueEachOtherAreOne) {
  CHECK(Of({.window = {2, 6}, .stride = {1, 1}}, {4, 6}, 1).places.empty());
  CHECK(Of({.window = {1, 2}, .stride = {1, 2}}, {4, 6}, 1).places.empty());
  CHECK_EQ(Of({.window = {1, 2, 2}, .stride = {1, 1, 2}}, {4, 6, 4}, 1).places.size(), 2u);
}

TEST(RowView, ASliceIsOfAllRows) {
  for (const RowView& view : {RowView{.window = {2, 3}, .stride = {1, 2}},
                              RowView{.window = {2}, .stride = {1}}, RowView{}}) {
    const FileRows all = Of(view, {5, 6}, 1);
    const Numbers offsets = Offsets(all);
    for (int64_t first = 0; first < all.rows; ++first) {
      for (int64_t step = 1; step < 4; ++step) {
        for (int64_t count = 1; first + (count - 1) * step < all.rows; ++count) {
          FileRows some = all;
          some.Select(first, step, count);
          Numbers wanted;
          for (int64_t i = 0; i < count; ++i)
            wanted.push_back(offsets[static_cast<size_t>(first + i * step)]);
          CHECK_EQ(Offsets(some), wanted);
          if (count > 1 && first + (count - 1) * step + step < all.rows) {
            some.Select(1, 1, 1);  // of a slice
            CHECK_EQ(Offsets(some), (Numbers{wanted[1]}));
          }
        }
      }
    }
  }
}

TEST(RowView, ASliceIsResolvedAsInPython) {
  const auto resolved = [](int64_t start, int64_t stop) {
    const RowView view = RowView{.start = start, .stop = stop}.Resolved(10);
    return Numbers{view.start, view.stop};
  };
  CHECK_EQ(resolved(0, INT64_MAX), (Numbers{0, 10}));
  CHECK_EQ(resolved(-3, INT64_MAX), (Numbers{7, 10}));
  CHECK_EQ(resolved(-30, -1), (Numbers{0, 9}));
  CHECK_EQ(resolved(5, 2), (Numbers{5, 5}));
  CHECK_EQ(resolved(20, INT64_MIN), (Numbers{10, 10}));
}

// The first row with a byte on the last page, or one before it.
TEST(RowView, TheTailIsFound) {
  const int64_t page = PageBytes();
  for (const bool fortran : {false, true}) {
    for (const RowView& view : {RowView{}, RowView{.window = {3}, .stride = {1}},
                                RowView{.window = {2, 700}, .stride = {1, 100}},
                                RowView{.window = {1, 1}, .stride = {7, 3}}}) {
      const Numbers shape{20, 1000};
      for (const int64_t offset : {0, 128, 4000}) {
        FileRows rows = Of(view, shape, 1, fortran);
        rows.data_offset = offset;
        FindTail(20000, &rows);
        const int64_t last_page = (offset + 20000 - 1) / page * page;
        for (int64_t row = 0; row < rows.tail_row; ++row)
          CHECK(offset + rows.OffsetOf(row) + rows.row_bytes <= last_page);
        if (!fortran && view.window.size() < 2) {
          CHECK(rows.tail_row == rows.rows ||
                offset + rows.OffsetOf(rows.tail_row) + rows.row_bytes > last_page);
        }
      }
    }
  }
}

TEST(RowView, WhatDoesNotFitIsRefused) {
  const auto refuses = [](const Numbers& window, const Numbers& shape) {
    const RowView view{.window = window, .stride = Numbers(window.size(), 1)};
    CHECK_THROWS(view.CheckFits("a.npy", shape), Error,
                 "a.npy: window " + ShapeText(window) + " does not fit into the array of shape " +
                     ShapeText(shape));
  };
  refuses({4}, {3, 9});
  refuses({1, 10}, {3, 9});
  refuses({1, 1, 1}, {3, 9});
  refuses({1}, {0});
  const Numbers many{int64_t{1} << 40, int64_t{1} << 40, 0};
  CHECK_THROWS(Of({.window = {1, 1}, .stride = {1, 1}}, many, 1), Error,
               "has more windows than can be counted");
}

TEST(Array, FilesOfASliceThatHaveNoRowsAreNotMapped) {
  const TempFolder folder;
  std::vector<Extent> extents;
  for (const int64_t rows : {4, 0, 3, 5}) {
    extents.push_back({folder / (std::to_string(rows) + ".npy")});
    WriteNpy(extents.back().path, "'|u1'", {rows, 2}, RandomBytes(static_cast<size_t>(rows * 2)));
  }
  const auto array =
      Array::Open(extents, Array::Map::kNow, {.start = 3, .stop = 12, .step = 4});  // 3, 7, 11
  CHECK_EQ(array->rows(), 3);
  CHECK_EQ(array->file_rows().size(), 2u);
  CHECK_EQ(array->file(0).path(), extents[0].path);
  CHECK_EQ(array->file(1).path(), extents[3].path);
  CHECK_EQ(array->file_rows()[1].first_row, 1);
  CHECK_EQ(array->stamps().size(), 4u);
  array->CheckFiles();
  const auto none = Array::Open(extents, Array::Map::kNow, {.start = 12});
  CHECK_EQ(none->rows(), 0);
  CHECK(none->has_dense_rows());
  const auto last = Array::Open(extents, Array::Map::kNow, {.start = 11, .step = INT64_MAX});
  CHECK_EQ(last->rows(), 1);
}

TEST(Array, WindowsMayBeDenseButOverlap) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'<u2'", {100}, RandomBytes(200));
  WriteNpy(folder / "b.npy", "'<u2'", {8}, RandomBytes(16));
  const std::vector<Extent> extents{{folder / "b.npy"}, {folder / "a.npy"}};
  const auto array = Array::Open(extents, Array::Map::kNow, {.window = {8}, .stride = {3}});
  CHECK(array->has_dense_rows());
  CHECK_EQ(array->rows(), 1 + 31);
  CHECK_EQ(array->row_stride(), 6);
  CHECK_EQ(array->row_bytes(), 16);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
