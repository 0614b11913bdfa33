#include "core/layout.h"

#include <algorithm>

namespace npyfast {
namespace {

// Appends `swap`, to the last one if it goes on where that ends.
void Append(const Swap& swap, std::vector<Swap>& swaps) {
  if (!swaps.empty()) {
    Swap& last = swaps.back();
    if (last.word_bytes == swap.word_bytes &&
        last.offset + last.count * last.word_bytes == swap.offset) {
      last.count += swap.count;
      return;
    }
  }
  swaps.push_back(swap);
}

void CollectSwaps(const Dtype& dtype, int64_t offset, std::vector<Swap>& swaps) {
  if (dtype.is_subarray()) {
    const int64_t item = dtype.base->itemsize;
    const int64_t count = item == 0 ? 0 : dtype.itemsize / item;
    std::vector<Swap> of_item;
    CollectSwaps(*dtype.base, 0, of_item);
    if (of_item.empty() || count == 0) return;
    // A sub-array may have 2^31 items: what can be said at once is.
    if (of_item.size() == 1 && of_item[0].count * of_item[0].word_bytes == item)
      return Append({offset, of_item[0].count * count, of_item[0].word_bytes}, swaps);
    for (int64_t i = 0; i < count; ++i) {
      for (const Swap& swap : of_item)
        Append({offset + i * item + swap.offset, swap.count, swap.word_bytes}, swaps);
    }
    return;
  }
  if (dtype.is_structured()) {
    for (const Field& field : dtype.fields) CollectSwaps(field.dtype, offset + field.offset, swaps);
    return;
  }
  if (!dtype.swapped || dtype.itemsize == 0) return;
  int64_t word = dtype.itemsize;
  if (dtype.kind == 'c') word /= 2;
  if (dtype.kind == 'U') word = 4;
  Append({offset, dtype.itemsize / word, word}, swaps);
}

// Joins what lies together, so that copying has as few and as long runs as can be.
void Coalesce(Column& column) {
  std::vector<Axis> axes;
  for (const Axis& axis : column.axes) {
    if (axis.count == 1) continue;
    // Where there is nothing to read, strides may be anything.
    int64_t bytes;
    if (!axes.empty() && !__builtin_mul_overflow(axis.count, axis.stride, &bytes) &&
        axes.back().stride == bytes) {
      axes.back() = {axes.back().count * axis.count, axis.stride};
    } else {
      axes.push_back(axis);
    }
  }
  // Records keep their axis: one list of swaps for each record serves all of them.
  const bool uniform = column.swaps.empty() ||
                       (column.swaps.size() == 1 &&
                        column.swaps[0].count * column.swaps[0].word_bytes == column.chunk_bytes);
  if (uniform && !axes.empty() && axes.back().stride == column.chunk_bytes) {
    column.chunk_bytes *= axes.back().count;
    if (!column.swaps.empty()) column.swaps[0].count *= axes.back().count;
    axes.pop_back();
  }
  column.axes = std::move(axes);
}

class Maker {
 public:
  Maker(Fields fields, std::vector<Column>& columns) : fields_(fields), columns_(columns) {}

  void Visit(const Dtype& dtype, int64_t offset, const std::vector<Axis>& axes) {
    if (dtype.is_subarray()) {
      std::vector<Axis> inner = axes;
      const size_t first = inner.size();
      for (const int64_t count : dtype.subarray_shape) inner.push_back({count, 0});
      int64_t stride = dtype.base->itemsize;
      for (size_t i = inner.size(); i-- > first;) {
        inner[i].stride = stride;
        stride *= inner[i].count;
      }
      Visit(*dtype.base, offset, inner);
    } else if (dtype.is_structured() && fields_ == Fields::kApart) {
      for (const Field& field : dtype.fields) Visit(field.dtype, offset + field.offset, axes);
    } else {
      Column column;
      column.offset = offset;
      column.axes = axes;
      column.chunk_bytes = dtype.itemsize;
      CollectSwaps(dtype, 0, column.swaps);
      column.row_bytes = dtype.itemsize;
      for (const Axis& axis : axes) column.row_bytes *= axis.count;
      Coalesce(column);
      columns_.push_back(std::move(column));
    }
  }

 private:
  const Fields fields_;
  std::vector<Column>& columns_;
};

}  // namespace

std::vector<int64_t> DenseStrides(std::span<const int64_t> shape, int64_t itemsize,
                                  bool fortran_order) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = itemsize;
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t axis = fortran_order ? i : shape.size() - 1 - i;
    strides[axis] = stride;
    stride *= std::max<int64_t>(shape[axis], 1);
  }
  return strides;
}

std::vector<Column> MakeColumns(const Dtype& dtype, std::span<const int64_t> shape,
                                std::span<const int64_t> strides, Fields fields) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < shape.size(); ++i) axes.push_back({shape[i], strides[i]});
  std::vector<Column> columns;
  Maker(fields, columns).Visit(dtype, 0, axes);
  return columns;
}

}  // namespace npyfast
