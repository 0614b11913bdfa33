#ifndef NPYFAST_CORE_READAHEAD_FILE_RANGES_H_
#define NPYFAST_CORE_READAHEAD_FILE_RANGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/source/array.h"

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

// Adds the pages that hold the rows of each stretch. REQUIRES: the array was opened
// from files and has dense rows; the stretches are within it.
void AddPages(const Array& array, size_t leaf, const std::vector<RowStretch>& stretches,
              std::vector<FileRange>* ranges);

// Sorts ranges in file order, and merges those that overlap or touch.
void Coalesce(std::vector<FileRange>* ranges);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_FILE_RANGES_H_
