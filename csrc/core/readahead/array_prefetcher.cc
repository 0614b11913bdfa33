#include "core/readahead/array_prefetcher.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <utility>

#include "core/os/page_size.h"
#include "core/os/resource_limits.h"
#include "core/source/residency.h"

namespace npyfast {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kChunkBytes = 256 << 10;

// The kernel silently cuts a hint off at the largest request of the device or at its own
// readahead, whichever is larger: 128 KiB by default.
constexpr int64_t kHintBytes = 128 << 10;

// What is looked at, and let go of, at once.
constexpr int64_t kPieceBytes = 1 << 20;

// Chunks in flight while a whole file is read: enough for the device never to be idle, and so few
// that the rows of a coming batch do not wait long behind them.
constexpr size_t kChunksInFlight = 32;

// Pages that a look at the cache takes samples of, and how long its answer holds.
constexpr int kSamples = 32;
constexpr auto kFreshFor = std::chrono::seconds(1);

// A look at the cache costs about as much as asking for some pages: of small pieces every 16th is
// looked at.
constexpr int64_t kLookAtAllFrom = 64 << 10;
constexpr int64_t kLookAtEvery = 16;

// What is larger than memory once is likely to be so again.
constexpr int kMostReloads = 2;

// Hints refused in a row after which no more are given.
constexpr int kMostRefused = 16;

constexpr size_t kOpenFiles = 8;

void SetResident(const Array& array, int64_t first_row, int64_t end_row) {
  Residency& state = array.residency();
  const MutexLock lock(Residency::mutex);
  state.resident_at = Clock::now();
  state.resident_first = first_row;
  state.resident_end = end_row;
}

}  // namespace

ArrayPrefetcher::ArrayPrefetcher(std::shared_ptr<const Array> array, size_t leaf, int64_t first_row,
                                 int64_t end_row, Way way, bool loaded,
                                 std::shared_ptr<Statistics> statistics)
    : array_(std::move(array)),
      leaf_(leaf),
      first_row_(first_row),
      end_row_(end_row),
      way_(way),
      statistics_(std::move(statistics)) {
  if (way_ == Way::kRows) return;
  chunk_begin_.push_back(0);
  for (size_t file = 0; file < array_->file_rows().size(); ++file) {
    const int64_t bytes = array_->file(file).size();
    chunk_begin_.push_back(chunk_begin_.back() + (bytes + kChunkBytes - 1) / kChunkBytes);
  }
  Residency& state = array_->residency();
  const MutexLock lock(Residency::mutex);
  // What an epoch before this one has asked for may be gone by now.
  state.asked.assign(static_cast<size_t>(chunk_begin_.back()), false);
  state.Count(SpanBytes(*array_, first_row_, end_row_));
  if (array_->has_dense_rows()) {
    const size_t first = array_->FileOf(first_row_);
    const size_t last = array_->FileOf(end_row_ - 1);
    const auto offset_of = [this](size_t file, int64_t row) {
      const FileRows& rows = array_->file_rows()[file];
      return rows.data_offset + (row - rows.first_row) * rows.row_stride;
    };
    first_chunk_ = ChunkOf(first, offset_of(first, first_row_));
    end_chunk_ = ChunkOf(last, offset_of(last, end_row_) - 1) + 1;
  } else {
    end_chunk_ = chunk_begin_.back();
  }
  next_chunk_ = loaded ? end_chunk_ : first_chunk_;
}

int64_t ArrayPrefetcher::SpanBytes(const Array& array, int64_t first_row, int64_t end_row) {
  if (!array.has_dense_rows()) return array.file_bytes();
  return (end_row - first_row) * array.file_rows()[0].row_stride;
}

bool ArrayPrefetcher::Fits(const Array& array, int64_t first_row, int64_t end_row) {
  const auto usable = static_cast<double>(UsableMemory());  // reads files
  Residency& state = array.residency();
  const MutexLock lock(Residency::mutex);
  const int64_t others = Residency::TotalBytes() - state.counted_bytes;
  return static_cast<double>(SpanBytes(array, first_row, end_row) + others) <
         kMostOfMemory * usable;
}

bool ArrayPrefetcher::Resident(const Array& array, int64_t first_row, int64_t end_row,
                               bool where_unknown) {
  Residency& state = array.residency();
  {
    const MutexLock lock(Residency::mutex);
    const bool same = state.resident_first <= first_row && end_row <= state.resident_end;
    if (same && Clock::now() - state.resident_at < kFreshFor) return true;
  }
  // Other rows at each look.
  static std::atomic<uint32_t> looks{0};
  std::minstd_rand random(static_cast<uint32_t>(Clock::now().time_since_epoch().count()) +
                          looks.fetch_add(1));
  std::map<size_t, PageCache> caches;
  int missing = 0;
  for (int i = 0; i < kSamples; ++i) {
    const auto row = first_row + static_cast<int64_t>((uint64_t{random()} << 31 | random()) %
                                                      static_cast<uint64_t>(end_row - first_row));
    const size_t number = array.FileOf(row);
    const FileRows& rows = array.file_rows()[number];
    const MappedFile& file = array.file(number);
    // Of an array in Fortran order, which has its rows everywhere, any place in proportion.
    const int64_t offset = array.has_dense_rows()
                               ? rows.data_offset + (row - rows.first_row) * rows.row_stride
                               : file.size() / rows.rows * (row - rows.first_row);
    const auto cache = caches.try_emplace(number, file).first;
    const double share = cache->second.Share(std::min(offset, file.size() - 1), 1);
    if (share < 0) return where_unknown;
    missing += share > 0 ? 0 : 1;
    // One page may have gone by itself; two are a sign.
    if (missing > 1) return false;
  }
  SetResident(array, first_row, end_row);
  return true;
}

void ArrayPrefetcher::ExpectRandom(const Array& array, bool random) {
  Residency& state = array.residency();
  std::vector<bool> advised;
  {
    const MutexLock lock(Residency::mutex);
    if (state.random == random) return;
    state.random = random;
    // Each file when it is first asked for: it may not even be mapped yet.
    advised = std::move(state.advised);
    state.advised.assign(array.file_rows().size(), false);
  }
  // Without the lock, which fork() waits for: a file may have to be opened, which may take long.
  for (size_t file = 0; !random && file < advised.size(); ++file) {
    if (advised[file])
      array.file(file).Advise(0, array.file(file).size(), MappedFile::Advice::kNormal);
  }
}

void ArrayPrefetcher::AdviseRandom(size_t file) {
  Residency& state = array_->residency();
  {
    const MutexLock lock(Residency::mutex);
    if (!state.random || state.advised[file]) return;
    state.advised[file] = true;
  }
  array_->file(file).Advise(0, array_->file(file).size(), MappedFile::Advice::kRandom);
}

int64_t ArrayPrefetcher::ChunkOf(size_t file, int64_t offset) const {
  return chunk_begin_[file] + offset / kChunkBytes;
}

FileRange ArrayPrefetcher::RangeOf(int64_t chunk) const {
  const auto behind = std::upper_bound(chunk_begin_.begin(), chunk_begin_.end(), chunk);
  const auto file = static_cast<size_t>(behind - chunk_begin_.begin()) - 1;
  return {leaf_, file, (chunk - chunk_begin_[file]) * kChunkBytes, kChunkBytes};
}

bool ArrayPrefetcher::Claim(int64_t chunk) {
  Residency& state = array_->residency();
  const MutexLock lock(Residency::mutex);
  if (state.asked[static_cast<size_t>(chunk)]) return false;
  state.asked[static_cast<size_t>(chunk)] = true;
  return true;
}

PageCache& ArrayPrefetcher::CacheOf(size_t file) {
  const auto found = caches_.find(file);
  if (found != caches_.end()) return found->second;
  if (caches_.size() >= kOpenFiles) caches_.clear();
  return caches_.try_emplace(file, array_->file(file)).first->second;
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

void ArrayPrefetcher::AddRanges(const std::vector<RowStretch>& rows,
                                std::vector<FileRange>* ranges) {
  if (way_ == Way::kWhole && (loaded() || !array_->has_dense_rows())) return;
  const size_t first = ranges->size();
  AddPages(*array_, leaf_, rows, ranges);
  AddProbedPages(first, ranges);
  if (way_ == Way::kRows) return;
  std::vector<FileRange> pages(ranges->begin() + static_cast<int64_t>(first), ranges->end());
  ranges->resize(first);
  for (const FileRange& range : pages) {
    const int64_t last = std::min(range.offset + range.bytes, array_->file(range.file).size()) - 1;
    for (int64_t c = ChunkOf(range.file, range.offset); c <= ChunkOf(range.file, last); ++c)
      if (Claim(c)) ranges->push_back(RangeOf(c));
  }
}

bool ArrayPrefetcher::StartReading(size_t file, int64_t offset, int64_t bytes) {
  if (refused_ >= kMostRefused) return false;
  if (array_->file(file).Advise(offset, bytes, MappedFile::Advice::kWillNeed) ||
      CacheOf(file).StartReading(offset, bytes)) {
    refused_ = 0;
    return true;
  }
  // Without hints the kernel's own readahead is the best there is.
  if (++refused_ == kMostRefused) ExpectRandom(*array_, false);
  return false;
}

void ArrayPrefetcher::Ask(const FileRange& range, int64_t unit, bool keep,
                          const std::atomic<bool>* stop) {
  if (way_ == Way::kRows) AdviseRandom(range.file);
  const int64_t end = std::min(range.offset + range.bytes, array_->file(range.file).size());
  const bool all = !keep || range.bytes >= kLookAtAllFrom;
  for (int64_t offset = range.offset; offset < end; offset += kPieceBytes) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return;
    const int64_t bytes = std::min(kPieceBytes, end - offset);
    if (all || asked_++ % kLookAtEvery == 0) {
      const double cached = CacheOf(range.file).Share(offset, bytes);
      if (cached >= 0) {  // known
        const auto missing = static_cast<int64_t>(static_cast<double>(bytes) * (1 - cached));
        const int64_t stands_for = all ? 1 : kLookAtEvery;
        statistics_->needed_bytes += bytes * stands_for;
        statistics_->read_bytes += std::max<int64_t>(missing, 0) * stands_for;
      }
      // The page at the end may hold the beginning of what comes next, which lets it go.
      const int64_t own = offset + bytes < end ? bytes : bytes - PageBytes();
      if (!keep && cached < 0.5 && own > 0) pieces_.push_back({range.file, offset, own, unit});
    }
    for (int64_t first = offset; first < offset + bytes; first += kHintBytes)
      StartReading(range.file, first, std::min(kHintBytes, offset + bytes - first));
  }
}

bool ArrayPrefetcher::LetGo(int64_t unit, int64_t pieces) {
  if (pieces_.empty() || pieces_.front().unit >= unit) return false;
  for (; pieces > 0 && !pieces_.empty() && pieces_.front().unit < unit; --pieces) {
    const Piece& piece = pieces_.front();
    array_->file(piece.file).Advise(piece.offset, piece.bytes, MappedFile::Advice::kDontNeed);
    CacheOf(piece.file).LetGo(piece.offset, piece.bytes);
    pieces_.pop_front();
  }
  return true;
}

bool ArrayPrefetcher::LoadChunk() {
  if (way_ != Way::kWhole || loaded()) return false;
  if (next_chunk_ < end_chunk_) {
    if (Claim(next_chunk_)) Ask(RangeOf(next_chunk_), 0, true);
    loading_.push_back(next_chunk_++);
  }
  if (loading_.size() >= kChunksInFlight || next_chunk_ == end_chunk_) {
    const FileRange range = RangeOf(loading_.front());
    const MappedFile& file = array_->file(range.file);
    const int64_t bytes = std::min(range.bytes, file.size() - range.offset);
    // Waits for the pages, and spares the copies the faults that would map them.
    if (!file.Advise(range.offset, bytes, MappedFile::Advice::kPopulate))
      CacheOf(range.file).Read(range.offset + bytes - 1);
    loading_.pop_front();
  }
  if (loaded()) {
    SetResident(*array_, first_row_, end_row_);
    caches_.clear();
  }
  return true;
}

bool ArrayPrefetcher::StillLoaded() {
  // Where nobody can tell, it is taken to be where it was put.
  if (!loaded() || Resident(*array_, first_row_, end_row_, true)) return true;
  const bool fits = ++reloads_ <= kMostReloads && Fits(*array_, first_row_, end_row_);
  if (!fits) {
    if (!array_->has_dense_rows()) return true;  // or it would be read again and again
    way_ = Way::kRows;
    ExpectRandom(*array_, true);
  } else {
    next_chunk_ = first_chunk_;
  }
  probed_.reset();
  Residency& state = array_->residency();
  const MutexLock lock(Residency::mutex);
  if (way_ == Way::kRows) state.Count(0);
  std::fill(state.asked.begin(), state.asked.end(), false);
  return false;
}

}  // namespace npyfast
