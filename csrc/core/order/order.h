#ifndef NPYFAST_CORE_ORDER_ORDER_H_
#define NPYFAST_CORE_ORDER_ORDER_H_

#include <array>
#include <cstdint>
#include <span>

namespace npyfast {

// Names the algorithm below. A release that gives any other row for any (rows, seed, epoch,
// position) has another number, or a checkpoint taken with one release would not resume with the
// next.
inline constexpr int kOrderVersion = 1;

// The order of one epoch: which row comes at which position, each row exactly once.
//
// A pure function of (rows, seed, epoch, position), the same on every platform and equal, bit for
// bit, to npyfast/_order/full.py, in O(1) memory. docs/order.md has the algorithm in full and why
// it is this one.
//
// Immutable, some hundred bytes, cheap to copy. Thread-safe.
class Order {
 public:
  // REQUIRES: rows <= 2^62. An order of no rows is fine, and has no positions to ask for.
  Order(uint64_t rows, uint64_t seed, uint64_t epoch);

  uint64_t rows() const { return rows_; }

  // The row at `position`: a bijection on [0, rows).
  //
  // REQUIRES: position < rows.
  uint64_t operator()(uint64_t position) const;

  // out[i] = order(first + i), for every i, several times faster than one by one.
  //
  // REQUIRES: first + out.size() <= rows.
  void Fill(uint64_t first, std::span<int64_t> out) const;

  // Replaces each position by its row. Positions may be any; consecutive ones are what Fill() is
  // for.
  //
  // REQUIRES: each position is in [0, rows).
  void Map(std::span<int64_t> positions) const;

 private:
  static constexpr int kMaxRounds = 32;

  struct Cell {
    uint32_t left, right;
  };

  struct Kernel;

  Cell Permute(Cell cell) const;
  uint64_t Walk(Cell cell) const;
  uint64_t Join(Cell cell) const { return uint64_t{cell.left} * width_ + cell.right; }
  Cell Split(uint64_t x) const {
    return {static_cast<uint32_t>(x / width_), static_cast<uint32_t>(x % width_)};
  }
  uint64_t Rotate(uint64_t position) const;
  // The cell where the walk of a position begins.
  Cell Enter(uint64_t position) const;

  uint64_t rows_;
  uint64_t rotation_ = 0;  // in [0, rows)
  uint64_t swap_ = 0;      // 1: positions 0 and 1 change places
  // Numbers in [0, height * width), at most 2^31 each way, are cells of a grid that is as square as
  // can be: left = x / width, right = x % width. The grid has at most height - 1 cells more than
  // rows.
  uint32_t height_ = 1;
  uint32_t width_ = 1;
  int rounds_ = 0;  // even
  std::array<uint64_t, kMaxRounds> multiply_{};
  std::array<uint64_t, kMaxRounds> add_{};
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_ORDER_ORDER_H_
