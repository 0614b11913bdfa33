#ifndef NPYFAST_CORE_READAHEAD_FILE_RANGES_H_
#define NPYFAST_CORE_READAHEAD_FILE_RANGES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/source/array.h"
#include "core/source/row_runs.h"

namespace npyfast {

// Consecutive rows of an array.
struct RowStretch {
  int64_t first = 0;
  int64_t rows = 0;
};

// Whole pages of one file of a leaf.
struct FileRange {
  size_t leaf = 0;
  size_t file = 0;
  int64_t offset = 0;
  int64_t bytes = 0;
};

// Calls visit(file, from, to, part) for each file that holds rows of a stretch: these rows are the
// part, and lie in the bytes [from, to) of the file. Rows with much between them, which windows may
// have, are visited one by one.
// REQUIRES: the array was opened from files and has dense rows; the stretch is within it.
template <typename Visit>
void ForEachFileOf(const Array& array, const RowStretch& stretch, const Visit& visit) {
  const int64_t end = stretch.first + stretch.rows;
  const bool one_by_one = array.row_stride() - array.row_bytes() >= kMostBetweenRows;
  for (int64_t row = stretch.first; row < end;) {
    const size_t number = array.FileOf(row);
    const FileRows& file = array.file_rows()[number];
    const int64_t part_end = one_by_one ? row + 1 : std::min(end, file.first_row + file.rows);
    const RowStretch part = {row, part_end - row};
    const int64_t from = file.data_offset + file.OffsetOf(row - file.first_row);
    visit(number, from, from + (part.rows - 1) * array.row_stride() + array.row_bytes(), part);
    row += part.rows;
  }
}

// Adds the pages that hold the rows of each stretch. REQUIRES: the array was opened from files; the
// stretches are within it.
void AddPages(const Array& array, size_t leaf, const std::vector<RowStretch>& stretches,
              std::vector<FileRange>* ranges);

// Sorts ranges in file order, and merges those that overlap or touch.
void Coalesce(std::vector<FileRange>* ranges);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_FILE_RANGES_H_
