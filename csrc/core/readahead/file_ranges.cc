#include "core/readahead/file_ranges.h"

#include <algorithm>
#include <tuple>

#include "core/os/page_size.h"

namespace npyfast {

namespace {

// Adds the pages of the bytes [from, to) of a file.
void Add(size_t leaf, size_t file, int64_t from, int64_t to, std::vector<FileRange>* ranges) {
  if (from == to) return;
  const int64_t page = PageBytes();
  const int64_t offset = from / page * page;
  ranges->push_back({leaf, file, offset, (to + page - 1) / page * page - offset});
}

void AddRuns(const RowRuns& runs, size_t axis, size_t leaf, size_t file, int64_t from,
             std::vector<FileRange>* ranges) {
  if (axis == runs.axes.size()) return Add(leaf, file, from, from + runs.bytes, ranges);
  const auto& [count, stride] = runs.axes[axis];
  for (int64_t i = 0; i < count; ++i)
    AddRuns(runs, axis + 1, leaf, file, from + i * stride, ranges);
}

// The same for rows that are not dense.
void AddPagesOfRuns(const Array& array, size_t leaf, const RowStretch& stretch,
                    std::vector<FileRange>* ranges) {
  RowRuns runs;
  size_t last = array.file_rows().size();
  for (int64_t row = stretch.first; row < stretch.first + stretch.rows; ++row) {
    const size_t number = array.FileOf(row);
    if (number != last) runs = RunsOf(array, number);
    last = number;
    const FileRows& file = array.file_rows()[number];
    AddRuns(runs, 0, leaf, number, file.data_offset + file.OffsetOf(row - file.first_row), ranges);
  }
}

}  // namespace

void AddPages(const Array& array, size_t leaf, const std::vector<RowStretch>& stretches,
              std::vector<FileRange>* ranges) {
  for (const RowStretch& stretch : stretches) {
    if (!array.has_dense_rows()) {
      AddPagesOfRuns(array, leaf, stretch, ranges);
      continue;
    }
    ForEachFileOf(array, stretch, [&](size_t file, int64_t from, int64_t to, const RowStretch&) {
      Add(leaf, file, from, to, ranges);
    });
  }
}

void Coalesce(std::vector<FileRange>* ranges) {
  const auto key = [](const FileRange& r) { return std::tie(r.leaf, r.file, r.offset); };
  std::sort(ranges->begin(), ranges->end(),
            [&key](const FileRange& a, const FileRange& b) { return key(a) < key(b); });
  size_t kept = 0;
  for (size_t i = 0; i < ranges->size(); ++i) {
    const FileRange& range = (*ranges)[i];
    FileRange* last = kept > 0 ? &(*ranges)[kept - 1] : nullptr;
    if (last != nullptr && last->leaf == range.leaf && last->file == range.file &&
        range.offset <= last->offset + last->bytes) {
      last->bytes = std::max(last->bytes, range.offset + range.bytes - last->offset);
    } else {
      (*ranges)[kept++] = range;
    }
  }
  ranges->resize(kept);
}

}  // namespace npyfast
