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

// What of a chunk is not copied as it lies: `count` words of `stride` bytes each, one behind the
// other from `offset` on, whose bytes are reversed; words of one byte are copied. Or, where `inner`
// says something, `count` items, `stride` bytes apart, of each of which `inner` is true. Nothing is
// written out that repeats itself: 30 bytes of a header can ask for a billion words.
struct Swap {
  int64_t offset;
  int64_t count;
  int64_t stride;
  std::vector<Swap> inner = {};
};

// Where one output array lies within each row of a source. The output is dense: the chunks that the
// axes (outermost first) lead to, one after the other.
struct Column {
  int64_t offset = 0;        // of the first chunk, from the row's first byte
  std::vector<Axis> axes;    // empty where a row is one run of bytes
  int64_t chunk_bytes = 0;   // bytes that lie together
  std::vector<Swap> swaps;   // within each chunk; where they overlap, the last one counts
  bool overlapping = false;  // whether they may
  int64_t row_bytes = 0;     // bytes of one row of the output
};

// Whether a structured dtype comes out as records, or as one column for each of its fields
// (fields of fields in turn, in order, depth first).
enum class Fields { kTogether, kApart };

// The columns of rows of `shape` items, `strides[i]` bytes apart along axis i. Fields that overlap
// come out as NumPy assigns them: one after the other, each from the source.
//
// REQUIRES: shape.size() == strides.size(); dtype holds no Python objects. Throws Error where a row
// of a column has more bytes than can be counted.
std::vector<Column> MakeColumns(const Dtype& dtype, std::span<const int64_t> shape,
                                std::span<const int64_t> strides, Fields fields);

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_COLUMN_LAYOUT_H_
