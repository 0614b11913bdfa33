#include "core/readahead/array_prefetcher.h"

#include <algorithm>
#include <utility>

#include "core/os/page_size.h"
#include "core/os/resource_limits.h"
#include "core/readahead/access_advice.h"
#include "core/readahead/cache_samples.h"
#include "core/readahead/readahead_policy.h"

namespace npyfast {
namespace {

// The kernel silently cuts a hint off at the largest request of the device or at its own
// readahead, whichever is larger: 128 KiB by default.
constexpr int64_t kHintBytes = 128 << 10;

// Inspected and dropped at once.
constexpr int64_t kPieceBytes = 1 << 20;

// Chunks in flight while a whole file is read: enough to keep the device busy, and few enough that
// the rows of a coming batch do not wait long for them.
constexpr size_t kChunksInFlight = 32;

// Inspecting the cache costs about as much as requesting some pages: of small pieces, every 16th is
// inspected.
constexpr int64_t kInspectAllFrom = 64 << 10;
constexpr int64_t kInspectEvery = 16;

// A file that was larger than memory once is likely to be so again.
constexpr int kMostReloads = 2;

// Hints refused in a row after which no more are given.
constexpr int kMostRefused = 16;

}  // namespace

ArrayPrefetcher::ArrayPrefetcher(std::shared_ptr<const Array> array, size_t leaf, int64_t first_row,
                                 int64_t end_row, Way way, bool loaded,
                                 std::shared_ptr<Statistics> statistics)
    : array_(std::move(array)),
      leaf_(leaf),
      first_row_(first_row),
      end_row_(end_row),
      way_(way),
      statistics_(std::move(statistics)),
      caches_(*array_),
      to_drop_(*array_),
      shared_bytes_(PageBytes()) {
  const int64_t overlap = array_->row_bytes() - array_->row_stride();
  if (array_->has_dense_rows()) shared_bytes_ += std::max<int64_t>(overlap, 0);
  if (way_ == Way::kRows) return;
  chunks_.emplace(*array_);
  span_ = chunks_->OfRows(*array_, first_row_, end_row_);
  next_chunk_ = loaded ? span_.end : span_.first;
  if (way_ == Way::kPart) PreparePart(loaded);
  // What an earlier epoch requested may have been evicted since.
  array_->residency().chunks.Reset(chunks_->count());
}

int64_t ArrayPrefetcher::SpanBytes(const Array& array, int64_t first_row, int64_t end_row) {
  if (!array.has_dense_rows()) return array.file_bytes();
  const int64_t more = (end_row - first_row - 1) * array.row_stride();
  return std::min(more + array.row_bytes(), array.file_bytes());
}

bool ArrayPrefetcher::Fits(const Array& array, int64_t first_row, int64_t end_row) {
  return FitsInMemory(static_cast<double>(SpanBytes(array, first_row, end_row)),
                      static_cast<double>(array.residency().memory.other_bytes()), UsableMemory());
}

void ArrayPrefetcher::AddRanges(const std::vector<RowStretch>& rows,
                                std::vector<FileRange>* ranges) {
  if (way_ == Way::kPart) return;
  if (way_ == Way::kWhole && (loaded() || !array_->has_dense_rows())) return;
  const size_t first = ranges->size();
  AddPages(*array_, leaf_, rows, ranges);
  AddProbedPages(first, ranges);
  if (way_ == Way::kRows) return;
  const std::vector<FileRange> pages(ranges->begin() + static_cast<int64_t>(first), ranges->end());
  ranges->resize(first);
  AddChunks(pages, ranges);
}

void ArrayPrefetcher::AddProbedPages(size_t first, std::vector<FileRange>* ranges) {
  if (!array_->is_probed()) return;
  const int64_t page = PageBytes();
  for (size_t i = first, end = ranges->size(); i < end; ++i) {
    const size_t file = (*ranges)[i].file;
    if (probed_[file]) continue;
    probed_.set(file);
    const int64_t last_byte = array_->file(file).size() - 1;
    ranges->push_back({leaf_, file, last_byte / page * page, page});
  }
}

void ArrayPrefetcher::AddChunks(const std::vector<FileRange>& pages,
                                std::vector<FileRange>* ranges) {
  for (const FileRange& range : pages) {
    const int64_t last = std::min(range.offset + range.bytes, array_->file(range.file).size()) - 1;
    const int64_t last_chunk = chunks_->At(range.file, last);
    for (int64_t c = chunks_->At(range.file, range.offset); c <= last_chunk; ++c)
      if (array_->residency().chunks.Claim(c)) ranges->push_back(chunks_->RangeOf(c, leaf_));
  }
}

bool ArrayPrefetcher::StartReading(size_t file, int64_t offset, int64_t bytes) {
  if (refused_ >= kMostRefused) return false;
  if (array_->file(file).Advise(offset, bytes, MappedFile::Advice::kWillNeed) ||
      caches_.Of(file).StartReading(offset, bytes)) {
    refused_ = 0;
    return true;
  }
  // Without hints, the kernel's own readahead is the best there is.
  if (++refused_ == kMostRefused) ExpectRandom(*array_, false);
  return false;
}

bool ArrayPrefetcher::Inspect(size_t file, int64_t offset, int64_t bytes, int64_t stands_for) {
  const double cached = caches_.Of(file).Share(offset, bytes);
  if (cached >= 0) {  // known
    const auto missing = static_cast<int64_t>(static_cast<double>(bytes) * (1 - cached));
    statistics_->needed_bytes += bytes * stands_for;
    statistics_->read_bytes += std::max<int64_t>(missing, 0) * stands_for;
  }
  return cached < 0.5;
}

void ArrayPrefetcher::Request(const FileRange& range, int64_t unit, bool keep,
                              const std::function<bool()>& stopped) {
  if (way_ != Way::kWhole) AdviseIfRandom(*array_, range.file);
  const int64_t end = std::min(range.offset + range.bytes, array_->file(range.file).size());
  const bool inspect_all = !keep || range.bytes >= kInspectAllFrom;
  for (int64_t offset = range.offset; offset < end; offset += kPieceBytes) {
    if (stopped && stopped()) return;
    const int64_t bytes = std::min(kPieceBytes, end - offset);
    if (inspect_all || pieces_requested_++ % kInspectEvery == 0) {
      const bool missing = Inspect(range.file, offset, bytes, inspect_all ? 1 : kInspectEvery);
      // The last page may hold the beginning of what comes next, which then drops it. Windows that
      // overlap share more.
      const int64_t own = std::min(offset + bytes, end - shared_bytes_) - offset;
      if (!keep && missing && own > 0) to_drop_.Add(range.file, offset, own, unit);
    }
    for (int64_t first = offset; first < offset + bytes; first += kHintBytes)
      StartReading(range.file, first, std::min(kHintBytes, offset + bytes - first));
  }
}

bool ArrayPrefetcher::DropBefore(int64_t unit, int64_t most_ranges) {
  return to_drop_.DropBefore(unit, most_ranges, caches_);
}

bool ArrayPrefetcher::LoadChunk() {
  if (way_ == Way::kRows || loaded()) return false;
  if (way_ == Way::kPart && next_chunk_ < span_.end && IsStillThere(next_chunk_)) {
    ++next_chunk_;
    return true;
  }
  if (next_chunk_ < span_.end) {
    if (array_->residency().chunks.Claim(next_chunk_))
      Request(chunks_->RangeOf(next_chunk_, leaf_), 0, true);
    loading_.push_back(next_chunk_++);
  }
  if (loading_.size() >= kChunksInFlight || next_chunk_ == span_.end) {
    const FileRange range = chunks_->RangeOf(loading_.front(), leaf_);
    const MappedFile& file = array_->file(range.file);
    const int64_t bytes = std::min(range.bytes, file.size() - range.offset);
    // Waits for the pages, and spares the copies the faults that would map them.
    if (!file.Advise(range.offset, bytes, MappedFile::Advice::kPopulate))
      caches_.Of(range.file).Read(range.offset + bytes - 1);
    if (way_ == Way::kPart) array_->residency().resident.Set(loading_.front(), true);
    loading_.pop_front();
  }
  if (loaded()) {
    array_->residency().seen.Remember(first_row_, end_row_);
    caches_.Close();
  }
  return true;
}

void ArrayPrefetcher::PreparePart(bool loaded) {
  ResidentChunks& resident = array_->residency().resident;
  resident.Prepare(chunks_->count());
  // If the part was larger, nobody looks any more whether the rest of it is still there.
  for (int64_t c = span_.end; c < chunks_->count() && resident.Hold(c, c); ++c)
    resident.Set(c, false);
  if (loaded && !resident.Hold(span_.first, span_.end - 1)) next_chunk_ = span_.first;
}

bool ArrayPrefetcher::IsStillThere(int64_t chunk) {
  ResidentChunks& resident = array_->residency().resident;
  if (!resident.Hold(chunk, chunk)) return false;
  const FileRange range = chunks_->RangeOf(chunk, leaf_);
  const int64_t bytes = std::min(range.bytes, array_->file(range.file).size() - range.offset);
  const double cached = caches_.Of(range.file).Share(range.offset, bytes);
  if (cached < 0 || cached == 1) return true;
  resident.Set(chunk, false);
  return false;
}

bool ArrayPrefetcher::StillLoaded() {
  // Where the system does not tell, it is taken to be where it was put.
  if (!loaded() || SeemsResident(*array_, first_row_, end_row_, true)) return true;
  Residency& residency = array_->residency();
  if (++reloads_ <= kMostReloads && Fits(*array_, first_row_, end_row_)) {
    next_chunk_ = span_.first;
  } else if (way_ == Way::kPart) {
    for (int64_t chunk = span_.first; chunk < span_.end; ++chunk) IsStillThere(chunk);
    return true;
  } else {
    if (!array_->has_dense_rows()) return true;  // or it would be read again and again
    way_ = Way::kRows;
    ExpectRandom(*array_, true);
    residency.memory.Set(0);
  }
  residency.chunks.Reset(chunks_->count());
  probed_.reset();
  return false;
}

}  // namespace npyfast
