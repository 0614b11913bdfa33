#ifndef NPYFAST_CORE_LAYOUT_H_
#define NPYFAST_CORE_LAYOUT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "core/dtype.h"

namespace npyfast {

// One dimension of a source: how many steps, and how many bytes apart.
struct Axis {
  int64_t count;
  int64_t stride;
};

// `count` words of `word_bytes` bytes each, from `offset` on, to be turned into native byte order.
struct Swap {
  int64_t offset;
  int64_t count;
  int64_t word_bytes;
};

// Where one output array lies within each row of a source. The output is dense: the chunks that the
// axes (outermost first) lead to, one after the other.
struct Column {
  int64_t offset = 0;       // of the first chunk, from the row's first byte
  std::vector<Axis> axes;   // empty where a row is one run of bytes
  int64_t chunk_bytes = 0;  // bytes that lie together
  std::vector<Swap> swaps;  // within each chunk
  int64_t row_bytes = 0;    // bytes of one row of the output
};

// Whether a structured dtype comes out as records, or as one column for each of its fields
// (fields of fields in turn, in order, depth first).
enum class Fields { kTogether, kApart };

// Bytes from one item to the next along each axis of a dense array. REQUIRES: its bytes fit
// int64_t.
std::vector<int64_t> DenseStrides(std::span<const int64_t> shape, int64_t itemsize,
                                  bool fortran_order);

// The columns of rows of `shape` items, `strides[i]` bytes apart along axis i.
// REQUIRES: shape.size() == strides.size(); dtype holds no Python objects.
std::vector<Column> MakeColumns(const Dtype& dtype, std::span<const int64_t> shape,
                                std::span<const int64_t> strides, Fields fields);

}  // namespace npyfast

#endif  // NPYFAST_CORE_LAYOUT_H_
