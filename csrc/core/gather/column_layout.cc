#include "core/gather/column_layout.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/errors.h"
#include "core/npy/shape.h"

namespace npyfast {
namespace {

bool IsWords(const Swap& swap) { return swap.inner.empty(); }

// Whether these are words of one size that fill `bytes` bytes.
bool Covers(const std::vector<Swap>& swaps, int64_t bytes) {
  return swaps.size() == 1 && IsWords(swaps[0]) && swaps[0].count * swaps[0].stride == bytes;
}

// Appends a swap, merged with the last one if it continues that.
void Append(Swap swap, std::vector<Swap>& swaps) {
  if (!swaps.empty() && IsWords(swap) && IsWords(swaps.back())) {
    Swap& last = swaps.back();
    if (last.stride == swap.stride && last.offset + last.count * last.stride == swap.offset) {
      last.count += swap.count;
      return;
    }
  }
  swaps.push_back(std::move(swap));
}

bool HasSwapped(const Dtype& dtype) {
  if (dtype.is_subarray()) return HasSwapped(*dtype.base);
  if (!dtype.is_structured()) return dtype.swapped;
  return std::ranges::any_of(dtype.fields, [](const Field& f) { return HasSwapped(f.dtype); });
}

bool FieldsOverlap(const Dtype& dtype) {
  std::vector<std::pair<int64_t, int64_t>> extents;
  for (const Field& field : dtype.fields) {
    if (field.dtype.itemsize > 0)
      extents.emplace_back(field.offset, field.offset + field.dtype.itemsize);
  }
  std::ranges::sort(extents);
  for (size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].first < extents[i - 1].second) return true;
  }
  return false;
}

// Appends the swaps of one element. In a structure whose fields overlap, fields that need no swap
// are copied by one, too, because they may overwrite a field that was swapped before. As in NumPy,
// padding between fields is not copied.
class SwapCollector {
 public:
  bool overlapping() const { return overlapping_; }

  void Collect(const Dtype& dtype, int64_t offset, bool overlaps, std::vector<Swap>& swaps) {
    if (dtype.itemsize == 0 || !(overlaps || HasSwapped(dtype))) return;
    if (dtype.is_subarray()) {
      CollectElements(*dtype.base, dtype.itemsize / dtype.base->itemsize, offset, overlaps, swaps);
    } else if (dtype.is_structured()) {
      if (FieldsOverlap(dtype)) overlaps = overlapping_ = true;
      for (const Field& field : dtype.fields)
        Collect(field.dtype, offset + field.offset, overlaps, swaps);
    } else if (!dtype.swapped) {
      Append({offset, dtype.itemsize, 1}, swaps);
    } else {
      int64_t word = dtype.itemsize;
      if (dtype.kind == 'c') word /= 2;
      if (dtype.kind == 'U') word = 4;
      Append({offset, dtype.itemsize / word, word}, swaps);
    }
  }

 private:
  void CollectElements(const Dtype& element, int64_t count, int64_t offset, bool overlaps,
                       std::vector<Swap>& swaps) {
    std::vector<Swap> inner;
    Collect(element, 0, overlaps, inner);
    if (inner.empty()) return;
    if (Covers(inner, element.itemsize))
      return Append({offset, inner[0].count * count, inner[0].stride}, swaps);
    Append({offset, count, element.itemsize, std::move(inner)}, swaps);
  }

  bool overlapping_ = false;
};

// Merges axes whose steps are adjacent, so that chunks are few and large.
void Coalesce(Column& column) {
  std::vector<Axis> axes;
  for (const Axis& axis : column.axes) {
    if (axis.count == 1) continue;
    // If there is nothing to read, strides may have any value.
    int64_t bytes;
    if (!axes.empty() && !__builtin_mul_overflow(axis.count, axis.stride, &bytes) &&
        axes.back().stride == bytes) {
      axes.back() = {axes.back().count * axis.count, axis.stride};
    } else {
      axes.push_back(axis);
    }
  }
  // Structures keep their axis: one list of swaps serves all of them.
  const bool uniform = column.swaps.empty() || Covers(column.swaps, column.chunk_bytes);
  if (uniform && !axes.empty() && axes.back().stride == column.chunk_bytes) {
    column.chunk_bytes *= axes.back().count;
    if (!column.swaps.empty()) column.swaps[0].count *= axes.back().count;
    axes.pop_back();
  }
  column.axes = std::move(axes);
}

// Bytes of all elements that `axes` count. Throws Error if they are 2^63 or more.
int64_t BytesOf(int64_t itemsize, const std::vector<Axis>& axes) {
  std::vector<int64_t> shape;
  for (const Axis& axis : axes) shape.push_back(axis.count);
  const std::optional<int64_t> bytes = ElementCount(shape, itemsize);
  if (!bytes) throw Error("a row of the array takes 2**63 bytes or more");
  return *bytes;
}

Column MakeColumn(const Dtype& dtype, int64_t offset, const std::vector<Axis>& axes) {
  Column column;
  column.offset = offset;
  column.row_bytes = BytesOf(dtype.itemsize, axes);
  if (column.row_bytes == 0) return column;  // there may be any number of empty elements
  column.axes = axes;
  column.chunk_bytes = dtype.itemsize;
  SwapCollector collector;
  collector.Collect(dtype, 0, /*overlaps=*/false, column.swaps);
  column.overlapping = collector.overlapping();
  Coalesce(column);
  return column;
}

class Maker {
 public:
  Maker(Fields fields, std::vector<Column>& columns) : fields_(fields), columns_(columns) {}

  void Visit(const Dtype& dtype, int64_t offset, const std::vector<Axis>& axes) {
    if (dtype.is_subarray()) {
      std::vector<Axis> inner = axes;
      const std::vector<int64_t>& shape = dtype.subarray_shape;
      const std::vector<int64_t> strides = DenseStrides(shape, dtype.base->itemsize, false);
      for (size_t i = 0; i < shape.size(); ++i) inner.push_back({shape[i], strides[i]});
      Visit(*dtype.base, offset, inner);
    } else if (dtype.is_structured() && fields_ == Fields::kApart) {
      for (const Field& field : dtype.fields) Visit(field.dtype, offset + field.offset, axes);
    } else {
      columns_.push_back(MakeColumn(dtype, offset, axes));
    }
  }

 private:
  const Fields fields_;
  std::vector<Column>& columns_;
};

}  // namespace

std::vector<Column> MakeColumns(const Dtype& dtype, std::span<const int64_t> shape,
                                std::span<const int64_t> strides, Fields fields) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < shape.size(); ++i) axes.push_back({shape[i], strides[i]});
  std::vector<Column> columns;
  Maker(fields, columns).Visit(dtype, 0, axes);
  return columns;
}

}  // namespace npyfast
