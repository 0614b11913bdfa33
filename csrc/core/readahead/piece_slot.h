#ifndef NPYFAST_CORE_READAHEAD_PIECE_SLOT_H_
#define NPYFAST_CORE_READAHEAD_PIECE_SLOT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "core/os/direct_file.h"
#include "core/os/file.h"

namespace npyfast {

// Bytes of one file that are read into consecutive memory.
struct PieceRange {
  const MappedFile* file = nullptr;
  std::shared_ptr<const DirectFile> opened = nullptr;
  int64_t offset = 0;
  int64_t bytes = 0;  // the file may end before
  std::byte* out = nullptr;
};

// Consecutive rows and where they are.
struct PlacedRows {
  int64_t first = 0;
  int64_t rows = 0;
  const std::byte* at = nullptr;
};

// Writes where each of these rows is, or null. `placed` is sorted by its rows, which are so many
// bytes apart.
void FindRows(std::span<const PlacedRows> placed, std::span<const int64_t> rows, int64_t row_stride,
              std::span<const std::byte*> addresses);

// A piece of rows in memory. The reading thread writes all of it before `ready`, and makers read it
// from then on until the piece is released.
struct PieceSlot {
  std::atomic<int64_t> planned{-1};   // the piece that the slot is for
  std::atomic<int64_t> ready{-1};     // the piece that is there
  std::atomic<int64_t> rows_left{0};  // rows that were not released; not counted if it is shared

  // For each direct leaf, where its rows are, by their place in the piece; null where they are left
  // to the mapping. Empty: all of them.
  std::vector<std::vector<const std::byte*>> addresses;
  // The same for shared pieces: the rows that were read.
  std::vector<std::vector<PlacedRows>> stretches;
  std::exception_ptr error;  // of the first read that failed
  bool refused = false;      // the file has no direct reads there: all rows are left to the mapping

  // The reading thread's.
  int64_t reads_left = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_PIECE_SLOT_H_
