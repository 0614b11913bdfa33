#ifndef NPYFAST_CORE_ORDER_BLOCK_ORDER_H_
#define NPYFAST_CORE_ORDER_BLOCK_ORDER_H_

#include <array>
#include <cstdint>
#include <span>

#include "core/order/order.h"

namespace npyfast {

// Names the algorithm below, as kOrderVersion names that of Order, on which it builds: other rows
// have another number.
inline constexpr int kBlockOrderVersion = 1;

// Rows of a block, which are read together, and of a window, which are shuffled together.
struct BlockSizes {
  int64_t block_rows = 0;
  int64_t window_rows = 0;
};

// The order of one epoch that is read a block at a time: which row comes at which position, each
// row exactly once.
//
// Blocks of consecutive rows come in random order, from borders that differ in each epoch; a window
// of many blocks is shuffled as a whole. Readahead therefore reads whole blocks, and holds one
// window of rows.
//
// A pure function of (rows, seed, epoch, sizes, position), the same on every platform and equal,
// bit for bit, to npyfast/_order/blocks.py, in O(1) memory. docs/order.md has the algorithm in
// full.
//
// Immutable, less than a kilobyte. Thread-safe.
class BlockOrder {
 public:
  // REQUIRES: rows <= 2^62; block_rows >= 1; window_rows >= 1. A window of less than a block has
  // one.
  BlockOrder(uint64_t rows, uint64_t seed, uint64_t epoch, const BlockSizes& sizes);

  // out[i] = the row at position first + i, for every i.
  //
  // Each thread remembers the window that it used last (some 10 KiB), so that batches which follow
  // one another are cheap.
  //
  // REQUIRES: first + out.size() <= rows.
  void Fill(uint64_t first, std::span<int64_t> out) const;

  // Slots: the blocks in the order in which they are read, and as the last one, if blocks leave a
  // remainder of rows, that remainder.
  int64_t slots() const { return static_cast<int64_t>(blocks_ + (remainder_ > 0 ? 1 : 0)); }

  struct Stretch {
    int64_t first = 0;
    int64_t rows = 0;
  };

  // The rows of a slot: one stretch of consecutive rows, and a second one if they wrap from the
  // last row to row 0 (else it is empty).
  //
  // REQUIRES: 0 <= slot < slots().
  std::array<Stretch, 2> SlotRows(int64_t slot) const;

  // The slots [FirstSlotOf(p), EndSlotOf(p)) are the window of position p: slots before it are
  // not needed any more, and slots after it not yet. Neither bound decreases as p grows.
  //
  // REQUIRES: position < rows.
  int64_t FirstSlotOf(uint64_t position) const;
  int64_t EndSlotOf(uint64_t position) const;

 private:
  struct Window;

  uint64_t WindowOf(uint64_t position) const;
  uint64_t FirstSlot(uint64_t window) const;
  uint64_t EndSlot(uint64_t window) const;
  // The row where a slot begins, and where a block does; the remainder follows the last block.
  uint64_t SlotStart(uint64_t slot) const;
  uint64_t BlockStart(uint64_t block) const { return Wrap(block * block_rows_ + rotation_); }
  uint64_t Wrap(uint64_t row) const { return row < rows_ ? row : row - rows_; }
  // What this thread keeps of a window, until it asks for another one.
  const Window& Remember(uint64_t window) const;

  uint64_t rows_;
  uint64_t seed_;
  uint64_t epoch_;
  uint64_t block_rows_;
  uint64_t blocks_;     // full ones
  uint64_t remainder_;  // rows after the last full block, fewer than block_rows
  uint64_t windows_;
  uint64_t rotation_;  // rows from here on, and around the end, are cut into blocks
  Order block_at_;     // slot -> block
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_ORDER_BLOCK_ORDER_H_
