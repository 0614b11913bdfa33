#ifndef NPYFAST_CORE_SOURCE_ROW_RUNS_H_
#define NPYFAST_CORE_SOURCE_ROW_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/source/array.h"

namespace npyfast {

// Bytes between two rows, or between two runs of one, that are read with them rather than skipped:
// reading them costs less than another request.
inline constexpr int64_t kMostBetweenRows = 8192;

// A row as runs of bytes in its file, which begin at steps along the axes. Adjacent runs are one,
// and so are those with less than kMostBetweenRows between them:
//
//   a tile of 2 x 3 pixels in an image 6 wide      ..aaa.|..bbb.       two axes, or one run, since
//                                                                      the gap of 3 pixels is small
struct RowRuns {
  std::vector<PlaceAxis> axes;  // outermost first
  int64_t bytes = 0;            // of a run
  int64_t count = 1;            // of runs

  // Whether requesting them by themselves is worth it: they are not single items all over the file.
  bool AreWorthwhile() const;
};

// The runs of each row of a file; of none without bytes. REQUIRES: the array was opened from files;
// file < array.file_rows().size().
RowRuns RunsOf(const Array& array, size_t file);

// How a row that was read run by run lies in memory. The runs are what they are in the file, and
// closer together:
//
//   file     | ..aaa................|......bbb.............|..........ccc...........|
//   memory   | ..aaa..|......bbb..|..........ccc.. |
//
// The distance of two runs is that in the file less a multiple of kUnit, and no block of this size
// holds bytes of both. So direct reads, which want whole blocks, can read all of them to their
// places if the row begins at the place within a block that it has in the file.
struct RowImage {
  static constexpr int64_t kUnit = 4096;

  RowRuns runs;
  std::vector<int64_t> run_strides;  // in memory, along each axis of the runs
  std::vector<int64_t> strides;      // in memory, along the dimensions of a row
  int64_t bytes = 0;                 // from the first byte of the row to the last

  // Calls visit(offset, place) for each run: where it is in the file, and in memory, if the row
  // begins at `offset` and `place`.
  template <typename Visit>
  void ForEachRun(int64_t offset, int64_t place, const Visit& visit, size_t axis = 0) const {
    if (axis == runs.axes.size()) return visit(offset, place);
    const auto& [count, stride] = runs.axes[axis];
    for (int64_t i = 0; i < count; ++i)
      ForEachRun(offset + i * stride, place + i * run_strides[axis], visit, axis + 1);
  }
};

// REQUIRES: as RunsOf().
RowImage ImageOf(const Array& array, size_t file);

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_ROW_RUNS_H_
