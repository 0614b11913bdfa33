#include "core/readahead/file_ranges.h"

#include <algorithm>
#include <tuple>

#include "core/os/page_size.h"

namespace npyfast {

void AddPages(const Array& array, size_t leaf, const std::vector<RowStretch>& stretches,
              std::vector<FileRange>* ranges) {
  const int64_t page = PageBytes();
  for (const RowStretch& stretch : stretches) {
    ForEachFileOf(array, stretch, [&](size_t file, int64_t from, int64_t to, const RowStretch&) {
      if (from == to) return;
      const int64_t offset = from / page * page;
      ranges->push_back({leaf, file, offset, (to + page - 1) / page * page - offset});
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
