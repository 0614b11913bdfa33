#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/os/page_size.h"
#include "core/readahead/file_ranges.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::RandomBytes;
using testing::TempFolder;
using testing::WriteNpy;

// An array of bytes in one file.
std::shared_ptr<const Array> File(const TempFolder& folder, const std::vector<int64_t>& shape,
                                  const RowView& view, bool fortran = false) {
  size_t bytes = 1;
  for (const int64_t count : shape) bytes *= static_cast<size_t>(count);
  WriteNpy(folder / "a.npy", "'|u1'", shape, RandomBytes(bytes), fortran);
  const std::vector<Extent> extents{{folder / "a.npy"}};
  return Array::Open(extents, Array::Map::kNow, view);
}

// The pages of the bytes of rows, byte by byte.
std::set<int64_t> NaivePages(const Array& array, const RowStretch& stretch) {
  std::set<int64_t> pages;
  const FileRows& file = array.file_rows()[0];
  for (int64_t row = stretch.first; row < stretch.first + stretch.rows; ++row) {
    std::vector<int64_t> offsets{file.data_offset + file.OffsetOf(row)};
    for (size_t axis = 0; axis < array.row_shape().size(); ++axis) {
      std::vector<int64_t> next;
      for (const int64_t offset : offsets)
        for (int64_t i = 0; i < array.row_shape()[axis]; ++i)
          next.push_back(offset + i * file.strides[axis]);
      offsets = std::move(next);
    }
    for (const int64_t offset : offsets) pages.insert(offset / PageBytes());
  }
  return pages;
}

// The pages that are asked for, each once; few besides those that hold the rows.
void Check(const Array& array, const RowStretch& stretch, size_t most_more = 0) {
  std::vector<FileRange> ranges;
  AddPages(array, 0, {stretch}, &ranges);
  Coalesce(&ranges);
  std::set<int64_t> pages;
  for (const FileRange& range : ranges) {
    for (int64_t page = range.offset / PageBytes();
         page < (range.offset + range.bytes) / PageBytes(); ++page)
      CHECK(pages.insert(page).second);
  }
  const std::set<int64_t> wanted = NaivePages(array, stretch);
  CHECK(std::includes(pages.begin(), pages.end(), wanted.begin(), wanted.end()));
  CHECK(pages.size() <= wanted.size() + most_more);
}

TEST(AddPages, OfOverlappingWindows) {
  const TempFolder folder;
  const auto array = File(folder, {50000}, {.window = {9000}, .stride = {1}});
  for (const int64_t row : {0, 1, 3999, 40000}) {
    Check(*array, {row, 1});
    Check(*array, {row, 1000});
  }
}

TEST(AddPages, OfWindowsFarApart) {
  const TempFolder folder;
  const auto array = File(folder, {200000}, {.window = {10}, .stride = {9000}});
  Check(*array, {0, array->rows()});
  const auto near = File(folder, {200000}, {.window = {10}, .stride = {500}});
  Check(*near, {3, 100});
}

TEST(AddPages, OfTiles) {
  const TempFolder folder;
  const RowView view{.window = {5, 700}, .stride = {3, 600}};
  for (const int64_t width : {800, 3000, 20000}) {
    for (const bool fortran : {false, true}) {
      const auto array = File(folder, {10, width}, view, fortran);
      for (int64_t row = 0; row < array->rows(); row += 7) {
        // The gaps of 3,000 bytes may hold a page each.
        Check(*array, {row, std::min<int64_t>(3, array->rows() - row)}, 15);
      }
    }
  }
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
