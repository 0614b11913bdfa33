#ifndef NPYFAST_CORE_READAHEAD_PIECE_LAYOUT_H_
#define NPYFAST_CORE_READAHEAD_PIECE_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/os/direct_file.h"
#include "core/readahead/chunks.h"
#include "core/readahead/file_ranges.h"
#include "core/readahead/page_caches.h"
#include "core/readahead/piece_slot.h"
#include "core/source/array.h"
#include "core/source/row_runs.h"

namespace npyfast {

// Lays out the rows of pieces in memory: which bytes of which files are read to which place. Rows
// whose blocks of the device touch are read together, in file order:
//
//   file      | ... [ row 7 ] [ row 8 ] ....... [ row 3 ] ... |
//   memory    | [ row 7 ] [ row 8 ] | [ row 3 ] |
//
// Rows that are not dense are read run by run, each to its place in a RowImage:
//
//   file      | ..aa........bb.......cc..... |       one row of three runs
//   memory    | ..aa..|..bb..|..cc..|
//
// Rows that are resident, stretches of rows that the page cache holds, and rows of files without
// direct reads are left out. For one thread.
class PieceLayout {
 public:
  // Returns a file opened for direct reads, or null.
  using Open = std::function<std::shared_ptr<const DirectFile>(size_t file)>;

  // REQUIRES: the array was opened from files. It outlives the layout.
  PieceLayout(const Array& array, Open open);

  // Memory for one piece: what is left of a slot.
  struct Memory {
    std::byte* next;
    std::byte* end;
  };

  // Writes where each of these rows will be, or null, and adds what must be read. Advances
  // `memory`. Rows for which there is no more memory are left out.
  void PlaceRows(std::span<const int64_t> rows, Memory* memory,
                 std::vector<const std::byte*>* addresses, std::vector<PieceRange>* ranges);
  // The same for consecutive rows, which are looked up in the page cache: one system call for each
  // stretch, which would take longer than to read a single row. REQUIRES: the array has dense rows.
  void PlaceStretches(std::span<const RowStretch> stretches, Memory* memory,
                      std::vector<PlacedRows>* placed, std::vector<PieceRange>* ranges);

  // Bytes of rows that were left out of the last call because they are in memory; and the stretches
  // that were left out because they cannot be read directly.
  int64_t resident_bytes() const { return resident_bytes_; }
  const std::vector<RowStretch>& refused() const { return refused_; }

 private:
  // Consecutive rows within one file.
  struct Span {
    size_t file;
    int64_t from, to;  // bytes of the file
    RowStretch rows;
    size_t index;  // of the caller's
    const std::byte* at;
  };

  void AddSpans(const RowStretch& stretch, size_t index);
  // Takes out the spans that the page cache holds.
  void LeaveOutCached();
  // Places all spans, in file order.
  void Place(Memory* memory, std::vector<PieceRange>* ranges);
  // Places the runs of a row; returns where the row begins, or null if it is left out.
  const std::byte* PlaceRuns(int64_t row, Memory* memory, std::vector<PieceRange>* ranges);
  const RowImage& ImageOfFile(size_t file);

  const Array& array_;
  const Open open_;
  const Chunks chunks_;
  PageCaches caches_;
  RowImage image_;  // of the rows of this file, and of some files
  size_t image_file_ = SIZE_MAX;
  std::vector<Span> spans_;
  std::vector<RowStretch> refused_;
  int64_t resident_bytes_ = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_PIECE_LAYOUT_H_
