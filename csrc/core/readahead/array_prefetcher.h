#ifndef NPYFAST_CORE_READAHEAD_ARRAY_PREFETCHER_H_
#define NPYFAST_CORE_READAHEAD_ARRAY_PREFETCHER_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/readahead/chunks.h"
#include "core/readahead/file_ranges.h"
#include "core/readahead/page_caches.h"
#include "core/source/array.h"

namespace npyfast {

// Requests pages of one leaf's files, in one of two ways.
//
// As a whole: chunk after chunk from beginning to end, but the chunks that hold coming rows first.
// Every byte is needed sooner or later and most devices read a chunk at full speed, so this costs
// nothing, and no batch waits for the end of the file.
//
// By rows: the pages that hold coming rows, in file order and merged where they touch. The kernel
// is told to read nothing around them.
//
// As a resident part: chunk after chunk of these rows alone, which are marked in ResidentChunks;
// the other rows, and those that come before their chunk, are read by somebody else.
//
// For one thread.
class ArrayPrefetcher {
 public:
  enum class Way { kWhole, kRows, kPart };

  // REQUIRES: the array has files and rows; it has dense rows if way is kPart. Rows outside of
  // [first_row, end_row) are never asked for. `loaded`: as a whole, and it is in memory already.
  ArrayPrefetcher(std::shared_ptr<const Array> array, size_t leaf, int64_t first_row,
                  int64_t end_row, Way way, bool loaded, std::shared_ptr<Statistics> statistics);

  Way way() const { return way_; }
  size_t leaf() const { return leaf_; }
  const Array& array() const { return *array_; }

  // Bytes of the files that hold the rows [first_row, end_row).
  static int64_t SpanBytes(const Array& array, int64_t first_row, int64_t end_row);
  // Whether these bytes fit in the memory that the process may use, beside those of other arrays
  // that are read as a whole.
  static bool Fits(const Array& array, int64_t first_row, int64_t end_row);

  // Adds what has to be read for these rows: their pages, or those of their chunks that nobody has
  // requested yet. And, once for each file, the page of the end that the gather probes.
  void AddRanges(const std::vector<RowStretch>& rows, std::vector<FileRange>* ranges);
  // Starts reading a range, until `stopped` says so, if given. Unless `keep`, what was in no cache
  // before is remembered, with its unit, to be dropped.
  void Request(const FileRange& range, int64_t unit, bool keep,
               const std::function<bool()>& stopped = nullptr);
  // Drops what was remembered for units before this one, at most so many ranges of up to a
  // megabyte. Returns whether there was any.
  bool DropBefore(int64_t unit, int64_t most_ranges = std::numeric_limits<int64_t>::max());

  // As a whole or a part: reads on by one chunk. Returns false once everything is in memory.
  bool LoadChunk();
  bool loaded() const { return way_ != Way::kRows && next_chunk_ == span_.end && loading_.empty(); }
  // Once it was loaded: looks whether it still is. If not, it will be read again, or by rows where
  // it no longer fits; then false is returned, and what is needed has to be requested again.
  bool StillLoaded();

 private:
  // Adds the last page of each file that the ranges from `first` on lie in, once. If it were
  // missing when the gather probes it, the kernel would read around it up to the readahead limit of
  // the device, often megabytes, while the first batch waits.
  void AddProbedPages(size_t first, std::vector<FileRange>* ranges);
  // Adds the chunks of these pages that nobody has requested yet.
  void AddChunks(const std::vector<FileRange>& pages, std::vector<FileRange>* ranges);
  // Counts what a range of `bytes` needs and what of it must be read. Returns whether less than
  // half of it is cached.
  bool Inspect(size_t file, int64_t offset, int64_t bytes, int64_t stands_for);
  bool StartReading(size_t file, int64_t offset, int64_t bytes);
  // As a part: begins with what an earlier epoch has left.
  void PreparePart(bool loaded);
  // As a part: whether a chunk is resident. It is not from now on if it was evicted.
  bool IsStillThere(int64_t chunk);

  const std::shared_ptr<const Array> array_;
  const size_t leaf_;
  const int64_t first_row_;
  const int64_t end_row_;
  Way way_;
  const std::shared_ptr<Statistics> statistics_;

  // As a whole.
  std::optional<Chunks> chunks_;
  Chunks::Interval span_;  // of the rows
  int64_t next_chunk_ = 0;
  std::deque<int64_t> loading_;  // in flight
  int reloads_ = 0;

  std::bitset<Array::kProbedFiles> probed_;  // whose last page was added

  PageCaches caches_;
  PagesToDrop to_drop_;
  int64_t shared_bytes_;  // at the end of a range, which the next one may need as well
  uint64_t pieces_requested_ = 0;
  int refused_ = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_ARRAY_PREFETCHER_H_
