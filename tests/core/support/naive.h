#ifndef NPYFAST_TESTS_CORE_SUPPORT_NAIVE_H_
#define NPYFAST_TESTS_CORE_SUPPORT_NAIVE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/gather/column_layout.h"
#include "core/npy/dtype.h"
#include "core/source/array.h"

// Item by item, as slow as it is plain: the judge of layouts, copies and gathers.
namespace npyfast::testing {

using Bytes = std::vector<std::byte>;

// One item in native byte order.
inline void CopyItem(const Dtype& dtype, const std::byte* from, std::byte* to) {
  std::copy_n(from, dtype.itemsize, to);
  if (dtype.is_subarray()) {
    const int64_t step = dtype.base->itemsize;
    for (int64_t at = 0; step > 0 && at < dtype.itemsize; at += step)
      CopyItem(*dtype.base, from + at, to + at);
  } else if (dtype.is_structured()) {
    for (const Field& field : dtype.fields)
      CopyItem(field.dtype, from + field.offset, to + field.offset);
  } else if (dtype.swapped) {
    const int64_t word = dtype.kind == 'U'   ? 4
                         : dtype.kind == 'c' ? dtype.itemsize / 2
                                             : dtype.itemsize;
    for (int64_t at = 0; at < dtype.itemsize; at += word) std::reverse(to + at, to + at + word);
  }
}

// Appends the items of `dtype` that the axes from number `axis` on lead to from `from`.
inline void AppendItems(const Dtype& dtype, const std::byte* from, const std::vector<Axis>& axes,
                        size_t axis, Bytes& out) {
  if (axis < axes.size()) {
    for (int64_t i = 0; i < axes[axis].count; ++i)
      AppendItems(dtype, from + i * axes[axis].stride, axes, axis + 1, out);
    return;
  }
  out.resize(out.size() + static_cast<size_t>(dtype.itemsize));
  CopyItem(dtype, from, out.data() + out.size() - dtype.itemsize);
}

// Appends one row to each column's output, which `column` counts through.
inline void AppendRow(const Dtype& dtype, const std::byte* row, std::vector<Axis> axes,
                      Fields fields, size_t& column, std::vector<Bytes>& out) {
  if (dtype.is_subarray()) {
    int64_t stride = dtype.itemsize;
    for (const int64_t count : dtype.subarray_shape) {
      stride = count == 0 ? 0 : stride / count;
      axes.push_back({count, stride});
    }
    AppendRow(*dtype.base, row, std::move(axes), fields, column, out);
  } else if (dtype.is_structured() && fields == Fields::kApart) {
    for (const Field& field : dtype.fields)
      AppendRow(field.dtype, row + field.offset, axes, fields, column, out);
  } else {
    if (column == out.size()) out.emplace_back();
    AppendItems(dtype, row, axes, 0, out[column++]);
  }
}

// The rows of an array, one byte string for each column.
inline std::vector<Bytes> NaiveGather(const Array& array, const std::vector<int64_t>& rows,
                                      Fields fields) {
  std::vector<Bytes> out;
  for (const int64_t row : rows) {
    const FileRows* file = nullptr;
    const std::byte* data = nullptr;
    for (size_t number = 0; number < array.file_rows().size(); ++number) {
      const FileRows& candidate = array.file_rows()[number];
      if (row < candidate.first_row || row >= candidate.first_row + candidate.rows) continue;
      file = &candidate;
      data = array.data(number);
    }
    std::vector<Axis> axes;
    for (size_t i = 0; i < array.row_shape().size(); ++i)
      axes.push_back({array.row_shape()[i], file->strides[i]});
    size_t column = 0;
    AppendRow(array.dtype(), data + (row - file->first_row) * file->row_stride, axes, fields,
              column, out);
  }
  return out;
}

}  // namespace npyfast::testing

#endif  // NPYFAST_TESTS_CORE_SUPPORT_NAIVE_H_
