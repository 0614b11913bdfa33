#ifndef NPYFAST_CORE_READAHEAD_ARRAY_PREFETCHER_H_
#define NPYFAST_CORE_READAHEAD_ARRAY_PREFETCHER_H_

#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/os/page_cache.h"
#include "core/readahead/file_ranges.h"
#include "core/source/array.h"

namespace npyfast {

// Has pages of one leaf's files read, in one of two ways.
//
// As a whole: chunk after chunk from beginning to end, but the chunks that hold coming rows first.
// Every byte will be wanted, a chunk of 256 KiB is read at the full speed of most devices, and so
// nothing is lost by it, and no batch waits for the end of the file.
//
// By rows: the pages that hold coming rows, in file order and joined where they touch; the kernel
// is told to read nothing around them.
//
// For one thread.
class ArrayPrefetcher {
 public:
  enum class Way { kWhole, kRows };

  // REQUIRES: the array has files and rows; it has dense rows, or way is kWhole. Rows outside of
  // [first_row, end_row) are never asked for. `loaded`: as a whole, and it is in memory already.
  ArrayPrefetcher(std::shared_ptr<const Array> array, size_t leaf, int64_t first_row,
                  int64_t end_row, Way way, bool loaded, std::shared_ptr<Statistics> statistics);

  // The rest of the usable memory is for what the training itself needs later.
  static constexpr double kMostOfMemory = 0.85;

  Way way() const { return way_; }
  size_t leaf() const { return leaf_; }
  const Array& array() const { return *array_; }

  // Bytes of the files that hold the rows [first_row, end_row).
  static int64_t SpanBytes(const Array& array, int64_t first_row, int64_t end_row);
  // Whether these bytes fit in the memory that the process may use, beside those of other arrays
  // that are read as a whole.
  static bool Fits(const Array& array, int64_t first_row, int64_t end_row);
  // Whether all of these rows seem to be in memory, by a look at some pages of theirs; and what is
  // said where the system does not tell.
  static bool Resident(const Array& array, int64_t first_row, int64_t end_row,
                       bool where_unknown = false);
  // Has the kernel read around what is touched, as it does by itself, or no longer.
  static void ExpectRandom(const Array& array, bool random);

  // Adds what has to be read for these rows: their pages, or their chunks that nobody has asked for
  // yet; and, once a file, where the gather probes its end.
  void AddRanges(const std::vector<RowStretch>& rows, std::vector<FileRange>* ranges);
  // Starts reading a range, until *stop, if given. With `keep` false it is remembered, with its
  // unit, if it was in no cache before.
  void Ask(const FileRange& range, int64_t unit, bool keep,
           const std::atomic<bool>* stop = nullptr);
  // Lets go of what was remembered for units before this one, up to so many pieces of a megabyte;
  // returns whether there was any.
  bool LetGo(int64_t unit, int64_t pieces = std::numeric_limits<int64_t>::max());

  // As a whole: reads on by one chunk. Returns false once everything is in memory.
  bool LoadChunk();
  bool loaded() const {
    return way_ == Way::kWhole && next_chunk_ == end_chunk_ && loading_.empty();
  }
  // Once it was loaded: looks whether it still is, and if not, reads it again, or goes on by rows
  // where it no longer fits. Returns false where it has to be asked for again.
  bool StillLoaded();

 private:
  struct Piece {
    size_t file;
    int64_t offset;
    int64_t bytes;
    int64_t unit;
  };

  int64_t ChunkOf(size_t file, int64_t offset) const;
  FileRange RangeOf(int64_t chunk) const;
  // Marks a chunk as asked for; returns whether it was not.
  bool Claim(int64_t chunk);
  // Adds the last page of each file that the ranges from `first` on lie in, once. Were it missing
  // when the gather probes it, the kernel would read around it up to the readahead limit of the
  // device, often megabytes, while the first batch waits.
  void AddProbedPages(size_t first, std::vector<FileRange>* ranges);
  void AdviseRandom(size_t file);
  bool StartReading(size_t file, int64_t offset, int64_t bytes);
  PageCache& CacheOf(size_t file);

  const std::shared_ptr<const Array> array_;
  const size_t leaf_;
  const int64_t first_row_;
  const int64_t end_row_;
  Way way_;
  const std::shared_ptr<Statistics> statistics_;

  std::vector<int64_t> chunk_begin_;  // the first chunk of each file, and the end of the last
  int64_t first_chunk_ = 0;
  int64_t next_chunk_ = 0;
  int64_t end_chunk_ = 0;
  std::deque<int64_t> loading_;  // in flight
  int reloads_ = 0;

  std::deque<Piece> pieces_;  // to let go of, by unit
  std::map<size_t, PageCache> caches_;
  std::bitset<Array::kProbedFiles> probed_;  // whose last page was added
  uint64_t asked_ = 0;
  int refused_ = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_ARRAY_PREFETCHER_H_
