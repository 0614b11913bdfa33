#include "core/readahead/chunks.h"

#include <algorithm>

namespace npyfast {

Chunks::Chunks(const Array& array) {
  begin_.push_back(0);
  for (size_t file = 0; file < array.file_rows().size(); ++file)
    begin_.push_back(begin_.back() + (array.file(file).size() + kBytes - 1) / kBytes);
}

int64_t Chunks::At(size_t file, int64_t offset) const { return begin_[file] + offset / kBytes; }

FileRange Chunks::RangeOf(int64_t chunk, size_t leaf) const {
  const auto after = std::upper_bound(begin_.begin(), begin_.end(), chunk);
  const auto file = static_cast<size_t>(after - begin_.begin()) - 1;
  return {leaf, file, (chunk - begin_[file]) * kBytes, kBytes};
}

Chunks::Interval Chunks::OfRows(const Array& array, int64_t first_row, int64_t end_row) const {
  if (!array.has_dense_rows()) return {0, count()};
  const auto offset_of = [&array](size_t file, int64_t row) {
    const FileRows& rows = array.file_rows()[file];
    return rows.data_offset + rows.OffsetOf(row - rows.first_row);
  };
  const size_t first = array.FileOf(first_row);
  const size_t last = array.FileOf(end_row - 1);
  return {At(first, offset_of(first, first_row)),
          At(last, offset_of(last, end_row - 1) + array.row_bytes() - 1) + 1};
}

}  // namespace npyfast
