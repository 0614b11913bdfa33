#include "core/readahead/piece_layout.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace npyfast {

PieceLayout::PieceLayout(const Array& array, Open open)
    : array_(array), open_(std::move(open)), chunks_(array), caches_(array) {
  array_.residency().resident.Prepare(chunks_.count());
}

void PieceLayout::AddSpans(const RowStretch& stretch, size_t index) {
  const ResidentChunks& resident = array_.residency().resident;
  ForEachFileOf(array_, stretch,
                [&](size_t file, int64_t from, int64_t to, const RowStretch& part) {
                  if (resident.Hold(chunks_.At(file, from), chunks_.At(file, to - 1))) {
                    resident_bytes_ += to - from;
                  } else {
                    spans_.push_back({file, from, to, part, index, nullptr});
                  }
                });
}

void PieceLayout::LeaveOutCached() {
  std::erase_if(spans_, [this](const Span& span) {
    if (!caches_.Of(span.file).HoldsAll(span.from, span.to - span.from)) return false;
    resident_bytes_ += span.to - span.from;
    return true;
  });
}

void PieceLayout::Place(Memory* memory, std::vector<PieceRange>* ranges) {
  std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) {
    return std::tie(a.file, a.from) < std::tie(b.file, b.from);
  });
  const size_t first_range = ranges->size();
  size_t file_of_range = 0;
  std::shared_ptr<const DirectFile> opened;
  size_t opened_file = SIZE_MAX;
  for (Span& span : spans_) {
    if (span.file != opened_file) {
      opened = open_(span.file);
      opened_file = span.file;
    }
    if (opened == nullptr) {
      refused_.push_back(span.rows);
      continue;
    }
    const int64_t unit = opened->alignment();
    const int64_t begin = span.from / unit * unit;
    const int64_t end = (span.to + unit - 1) / unit * unit;
    PieceRange* last = ranges->size() > first_range ? &ranges->back() : nullptr;
    const bool touches =
        last != nullptr && file_of_range == span.file && begin <= last->offset + last->bytes;
    const int64_t more =
        touches ? std::max<int64_t>(end - last->offset - last->bytes, 0) : end - begin;
    if (more > memory->end - memory->next) {
      refused_.push_back(span.rows);
      continue;
    }
    if (touches) {
      last->bytes += more;
    } else {
      ranges->push_back({&array_.file(span.file), opened, begin, more, memory->next});
      file_of_range = span.file;
    }
    memory->next += more;
    const PieceRange& range = ranges->back();
    span.at = range.out + (span.from - range.offset);
  }
}

void PieceLayout::PlaceRows(std::span<const int64_t> rows, Memory* memory,
                            std::vector<const std::byte*>* addresses,
                            std::vector<PieceRange>* ranges) {
  spans_.clear();
  refused_.clear();
  resident_bytes_ = 0;
  for (size_t i = 0; i < rows.size(); ++i) AddSpans({rows[i], 1}, i);
  Place(memory, ranges);
  addresses->assign(rows.size(), nullptr);
  for (const Span& span : spans_) (*addresses)[span.index] = span.at;
}

void PieceLayout::PlaceStretches(std::span<const RowStretch> stretches, Memory* memory,
                                 std::vector<PlacedRows>* placed, std::vector<PieceRange>* ranges) {
  spans_.clear();
  refused_.clear();
  resident_bytes_ = 0;
  for (const RowStretch& stretch : stretches) AddSpans(stretch, 0);
  LeaveOutCached();
  Place(memory, ranges);
  placed->clear();
  for (const Span& span : spans_)
    if (span.at != nullptr) placed->push_back({span.rows.first, span.rows.rows, span.at});
}

}  // namespace npyfast
