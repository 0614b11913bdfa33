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

// Adds the pages of the stretches' rows, each stretch by itself. REQUIRES: the array was opened
// from files and has dense rows; the stretches are within it.
void AddPages(const Array& array, size_t leaf, const std::vector<RowStretch>& stretches,
              std::vector<FileRange>* ranges);

// In file order, with ranges that overlap or touch made one.
void Coalesce(std::vector<FileRange>* ranges);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_FILE_RANGES_H_
