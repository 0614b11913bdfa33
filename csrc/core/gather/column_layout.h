#ifndef NPYFAST_CORE_GATHER_COLUMN_LAYOUT_H_
#define NPYFAST_CORE_GATHER_COLUMN_LAYOUT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "core/npy/dtype.h"

namespace npyfast {

// One dimension of a source: how many steps, and how many bytes apart.
struct Axis {
  int64_t count;
  int64_t stride;
};

// A part of a chunk that is not copied as it is: `count` consecutive words of `stride` bytes, from
// `offset` on, whose bytes are reversed (words of one byte are copied). Or, if `inner` is not
// empty, `count` structures, `stride` bytes apart, to each of which `inner` applies. Repetitions
// are counted rather than listed: 30 bytes of a header can ask for a billion words.
struct Swap {
  int64_t offset;
  int64_t count;
  int64_t stride;
  std::vector<Swap> inner = {};
};

// Where one output array is found within each row of a source. The output is dense: the chunks that
// the axes (outermost first) lead to, one after the other.
//
// A row of three structures of 6 bytes, with the fields a ('<u2') and b ('>f4'):
//
//   byte      0       2               6       8               12      14              18
//   source    | a0 a0 | b0 b0 b0 b0   | a1 a1 | b1 b1 b1 b1   | a2 a2 | b2 b2 b2 b2   |
//
//   fields apart, column a:  offset 0, axes {3 steps of 6}, chunk_bytes 2
//   output    | a0 a0 | a1 a1 | a2 a2 |
//   column b:                offset 2, axes {3 steps of 6}, chunk_bytes 4, swaps {0, 1 word of 4}
//   output    | b0 b0 b0 b0 | b1 b1 b1 b1 | b2 b2 b2 b2 |     with the bytes of each b reversed
//
//   fields together:         offset 0, axes {3 steps of 6}, chunk_bytes 6, swaps {2, 1 word of 4}
//
// Axes of adjacent chunks are merged: had b no bytes to be swapped, the fields together would be
// one chunk of 18 bytes without axes.
struct Column {
  int64_t offset = 0;        // of the first chunk, from the row's first byte
  std::vector<Axis> axes;    // none if a row is contiguous
  int64_t chunk_bytes = 0;   // of contiguous bytes
  std::vector<Swap> swaps;   // of each chunk; where they overlap, the last one wins
  bool overlapping = false;  // whether they may
  int64_t row_bytes = 0;     // bytes of one row of the output
};

// Whether a structured dtype becomes one column of structures, or one column for each field (in
// order, depth first).
enum class Fields { kTogether, kApart };

// The columns of rows of this shape, whose elements are strides[i] bytes apart along axis i. Fields
// that overlap are assigned as in NumPy: one after the other, each from the source.
//
// REQUIRES: shape.size() == strides.size(); dtype holds no Python objects. Throws Error if a row of
// a column takes 2^63 bytes or more.
std::vector<Column> MakeColumns(const Dtype& dtype, std::span<const int64_t> shape,
                                std::span<const int64_t> strides, Fields fields);

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_COLUMN_LAYOUT_H_
