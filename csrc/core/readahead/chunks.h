#ifndef NPYFAST_CORE_READAHEAD_CHUNKS_H_
#define NPYFAST_CORE_READAHEAD_CHUNKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/readahead/file_ranges.h"
#include "core/source/array.h"

namespace npyfast {

// The files of an array in chunks of 256 KiB, numbered through all files. Files of 600 KiB and
// 100 KiB:
//
//   file     |           0            |   1    |
//   chunk    |   0   |   1   |   2    |   3    |
//   offset   |   0   |  256K |  512K  |   0    |
//
// Each byte of the files is in one chunk; the last one of a file reaches beyond its end. Immutable.
class Chunks {
 public:
  static constexpr int64_t kBytes = 256 << 10;

  // Consecutive chunks.
  struct Interval {
    int64_t first = 0;
    int64_t end = 0;
  };

  // REQUIRES: the array was opened from files.
  explicit Chunks(const Array& array);

  int64_t count() const { return begin_.back(); }
  int64_t At(size_t file, int64_t offset) const;
  FileRange RangeOf(int64_t chunk, size_t leaf) const;
  // The chunks from the first byte of these rows to the last, or all of them if rows are not dense.
  Interval OfRows(const Array& array, int64_t first_row, int64_t end_row) const;

 private:
  std::vector<int64_t> begin_;  // the first chunk of each file, and the end of the last
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_CHUNKS_H_
