#ifndef NPYFAST_CORE_SOURCE_ROW_VIEW_H_
#define NPYFAST_CORE_SOURCE_ROW_VIEW_H_

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace npyfast {

// Which rows an array has: by default, each index on axis 0. With a window, each of its places over
// the first axes, in C order of the places; of these rows then a slice.
//
//   shape (4, 6), window (2, 3), stride (1, 2): 3 x 2 rows of shape (2, 3), which begin at
//
//     (0, 0) (0, 2) (1, 0) (1, 2) (2, 0) (2, 2)
struct RowView {
  std::vector<int64_t> window = {};  // items along each of the first axes
  std::vector<int64_t> stride = {};  // from one place to the next, along each of these axes
  // As of a slice in Python, counted over all files.
  int64_t start = 0;
  int64_t stop = std::numeric_limits<int64_t>::max();
  int64_t step = 1;

  bool operator==(const RowView&) const = default;

  // REQUIRES, here and below: window and stride have one size and entries of at least 1; step >= 1.

  // The shape of a row. REQUIRES: CheckFits() has not thrown.
  std::vector<int64_t> RowShape(std::span<const int64_t> shape) const;
  // Throws Error that begins with the name of the array, unless it has a place for the window.
  void CheckFits(const std::string& name, std::span<const int64_t> shape) const;
  // `start` and `stop` among this many rows: 0 <= start <= stop <= rows.
  RowView Resolved(int64_t rows) const;
};

// One axis along which places of a window are counted.
struct PlaceAxis {
  int64_t count = 0;
  int64_t stride = 0;  // bytes

  bool operator==(const PlaceAxis&) const = default;
};

// Where the rows of one file of an array lie, or those of an array in memory.
struct FileRows {
  int64_t first_row = 0;  // its number in the whole array
  int64_t rows = 0;
  int64_t data_offset = 0;  // bytes before row 0 in its file
  // The first row that may have bytes on the last page of its file's data. If the file is truncated
  // within that page, these bytes read as zeros without a fault, so the file must be checked after
  // the copy.
  int64_t tail_row = 0;
  // Bytes from one row to the next, may be negative in memory. Windows may overlap: fewer than
  // row_bytes.
  int64_t row_stride = 0;
  // From the first byte of a row to its last one; all of them are its own if it is dense.
  int64_t row_bytes = 0;
  std::vector<int64_t> strides;  // bytes, of the dimensions of a row

  // If rows are not row_stride apart: windows whose places differ along several axes. Row i is then
  // at place first_place + i * place_step, counted along these axes in C order, and data_offset is
  // that of place 0.
  std::vector<PlaceAxis> places = {};
  int64_t first_place = 0;
  int64_t place_step = 1;

  // Bytes from data_offset to the row that is number `row` of this file.
  int64_t OffsetOf(int64_t row) const {
    return places.empty() ? row * row_stride : OffsetOfPlace(first_place + row * place_step);
  }
  // Whether the items of a row are adjacent, and in C order. `row_shape`: that of the array.
  bool IsDense(std::span<const int64_t> row_shape, int64_t itemsize) const;

  // Leaves the rows first, first + step, ...: `count` of them.
  // REQUIRES: count >= 1; they are rows of this file.
  void Select(int64_t first, int64_t step, int64_t count);

 private:
  int64_t OffsetOfPlace(int64_t place) const;
};

// The rows of an array of this shape, of which dimension i has items strides[i] bytes apart: all
// that the view's window gives. Throws Error that begins with the name if they cannot be counted.
// REQUIRES: view.CheckFits(); shape.size() >= 1. Leaves data_offset and tail_row 0.
FileRows RowsOf(const RowView& view, const std::string& name, std::span<const int64_t> shape,
                std::span<const int64_t> strides, int64_t itemsize);

// Sets tail_row, for data of `data_bytes` from data_offset on.
// REQUIRES: rows of a file, before Select().
void FindTail(int64_t data_bytes, FileRows* rows);

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_ROW_VIEW_H_
