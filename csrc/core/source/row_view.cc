#include "core/source/row_view.h"

#include <algorithm>

#include "core/base/errors.h"
#include "core/npy/shape.h"
#include "core/os/page_size.h"

namespace npyfast {
namespace {

// Strides of an axis of one item, and of an array without bytes, may be anything.
int64_t WrappedProduct(int64_t a, int64_t b) {
  int64_t product;
  static_cast<void>(__builtin_mul_overflow(a, b, &product));
  return product;
}

int64_t CeilDivided(int64_t number, int64_t by) { return number <= 0 ? 0 : (number - 1) / by + 1; }

// From the first byte of an array to its last one.
int64_t SpannedBytes(std::span<const int64_t> shape, std::span<const int64_t> strides,
                     int64_t itemsize) {
  if (ElementCount(shape, itemsize) == 0) return 0;
  int64_t bytes = itemsize;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] > 1) bytes += (shape[i] - 1) * strides[i];
  return bytes;
}

// Drops axes of one place, and merges those whose places continue each other.
std::vector<PlaceAxis> Merged(std::span<const PlaceAxis> axes) {
  std::vector<PlaceAxis> merged;
  for (const PlaceAxis& axis : axes) {
    if (axis.count == 1) continue;
    if (!merged.empty() && merged.back().stride == WrappedProduct(axis.count, axis.stride)) {
      merged.back() = {merged.back().count * axis.count, axis.stride};
    } else {
      merged.push_back(axis);
    }
  }
  return merged;
}

}  // namespace

std::vector<int64_t> RowView::RowShape(std::span<const int64_t> shape) const {
  if (window.empty()) return {shape.begin() + 1, shape.end()};
  std::vector<int64_t> row = window;
  row.insert(row.end(), shape.begin() + static_cast<int64_t>(window.size()), shape.end());
  return row;
}

void RowView::CheckFits(const std::string& name, std::span<const int64_t> shape) const {
  bool fits = window.size() <= shape.size();
  for (size_t i = 0; fits && i < window.size(); ++i) fits = window[i] <= shape[i];
  if (!fits) {
    throw Error(name + ": window " + ShapeText(window) + " does not fit into the array of shape " +
                ShapeText(shape));
  }
}

RowView RowView::Resolved(int64_t rows) const {
  const auto within = [rows](int64_t number) {
    return std::clamp<int64_t>(number < 0 ? number + rows : number, 0, rows);
  };
  RowView resolved = *this;
  resolved.start = within(start);
  resolved.stop = std::max(resolved.start, within(stop));
  return resolved;
}

bool FileRows::IsDense(std::span<const int64_t> row_shape, int64_t itemsize) const {
  if (row_bytes == 0) return true;
  int64_t bytes = itemsize;
  for (size_t i = row_shape.size(); i-- > 0;) {
    if (row_shape[i] == 1) continue;
    if (strides[i] != bytes) return false;
    bytes *= row_shape[i];
  }
  return true;
}

int64_t FileRows::OffsetOfPlace(int64_t place) const {
  int64_t offset = 0;
  for (size_t i = places.size(); i-- > 0;) {
    offset += place % places[i].count * places[i].stride;
    place /= places[i].count;
  }
  return offset;
}

void FileRows::Select(int64_t first, int64_t step, int64_t count) {
  rows = count;
  tail_row = std::min(CeilDivided(tail_row - first, step), count);
  if (!places.empty()) {
    first_place += first * place_step;
    place_step = count == 1 ? 1 : place_step * step;
    return;
  }
  data_offset += WrappedProduct(first, row_stride);
  row_stride = count == 1 ? row_bytes : WrappedProduct(row_stride, step);
}

FileRows RowsOf(const RowView& view, const std::string& name, std::span<const int64_t> shape,
                std::span<const int64_t> strides, int64_t itemsize) {
  FileRows rows;
  std::vector<PlaceAxis> axes;
  if (view.window.empty()) {
    axes.push_back({shape[0], strides[0]});
    rows.strides.assign(strides.begin() + 1, strides.end());
  } else {
    for (size_t i = 0; i < view.window.size(); ++i) {
      axes.push_back({(shape[i] - view.window[i]) / view.stride[i] + 1,
                      WrappedProduct(view.stride[i], strides[i])});
    }
    rows.strides.assign(strides.begin(), strides.end());
  }
  rows.rows = 1;
  for (const PlaceAxis& axis : axes) {
    // Many rows of no bytes.
    if (__builtin_mul_overflow(rows.rows, axis.count, &rows.rows))
      throw Error(name + ": has more windows than can be counted");
  }
  rows.row_bytes = SpannedBytes(view.RowShape(shape), rows.strides, itemsize);
  rows.places = Merged(axes);
  if (rows.places.size() > 1) return rows;
  rows.row_stride = rows.places.empty() ? rows.row_bytes : rows.places[0].stride;
  rows.places.clear();
  return rows;
}

void FindTail(int64_t data_bytes, FileRows* rows) {
  rows->tail_row = rows->rows;
  if (data_bytes == 0) return;
  // Rows that begin at one place of the outermost axis.
  PlaceAxis outer = {rows->rows, rows->row_stride};
  int64_t inner_rows = 1;
  int64_t bytes = rows->row_bytes;
  if (!rows->places.empty()) {
    outer = rows->places[0];
    for (size_t i = 1; i < rows->places.size(); ++i) {
      inner_rows *= rows->places[i].count;
      bytes += (rows->places[i].count - 1) * rows->places[i].stride;
    }
  }
  const int64_t page = PageBytes();
  const int64_t last_page = (rows->data_offset + data_bytes - 1) / page * page;
  const int64_t before = last_page - rows->data_offset - bytes;
  const int64_t outer_before = before < 0 ? 0 : before / outer.stride + 1;
  if (outer_before < outer.count) rows->tail_row = outer_before * inner_rows;
}

}  // namespace npyfast
