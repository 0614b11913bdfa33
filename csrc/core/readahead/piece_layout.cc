#include "core/readahead/piece_layout.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace npyfast {
namespace {

static_assert(RowImage::kUnit % DirectFile::kMostAlignment == 0);

int64_t RoundUp(int64_t number, int64_t unit) { return (number + unit - 1) / unit * unit; }

}  // namespace

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
    const int64_t end = RoundUp(span.to, unit);
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

const RowImage& PieceLayout::ImageOfFile(size_t file) {
  if (file == image_file_) return image_;
  const std::vector<FileRows>& files = array_.file_rows();
  const bool alike = image_file_ != SIZE_MAX && files[file].strides == files[image_file_].strides;
  if (!alike) image_ = ImageOf(array_, file);
  image_file_ = file;
  return image_;
}

const std::byte* PieceLayout::PlaceRuns(int64_t row, Memory* memory,
                                        std::vector<PieceRange>* ranges) {
  const size_t number = array_.FileOf(row);
  const std::shared_ptr<const DirectFile> opened = open_(number);
  const FileRows& file = array_.file_rows()[number];
  const RowImage& image = ImageOfFile(number);
  const int64_t offset = file.data_offset + file.OffsetOf(row - file.first_row);
  // The row begins at the place within a block that it has in the file, and so does each run.
  const auto address = static_cast<int64_t>(reinterpret_cast<intptr_t>(memory->next));
  const int64_t skipped = RoundUp(address, RowImage::kUnit) - address + offset % RowImage::kUnit;
  const int64_t bytes = RoundUp(address + skipped + image.bytes, RowImage::kUnit) - address;
  if (opened == nullptr || bytes > memory->end - memory->next) {
    refused_.push_back({row, 1});
    return nullptr;
  }
  std::byte* const at = memory->next + skipped;
  memory->next += bytes;
  const int64_t unit = opened->alignment();
  image.ForEachRun(offset, 0, [&](int64_t from, int64_t place) {
    const int64_t before = from % unit;
    ranges->push_back({&array_.file(number), opened, from - before,
                       RoundUp(before + image.runs.bytes, unit), at + place - before});
  });
  return at;
}

void PieceLayout::PlaceRows(std::span<const int64_t> rows, Memory* memory,
                            std::vector<const std::byte*>* addresses,
                            std::vector<PieceRange>* ranges) {
  spans_.clear();
  refused_.clear();
  resident_bytes_ = 0;
  addresses->assign(rows.size(), nullptr);
  if (!array_.has_dense_rows()) {
    for (size_t i = 0; i < rows.size(); ++i) (*addresses)[i] = PlaceRuns(rows[i], memory, ranges);
    return;
  }
  for (size_t i = 0; i < rows.size(); ++i) AddSpans({rows[i], 1}, i);
  Place(memory, ranges);
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
