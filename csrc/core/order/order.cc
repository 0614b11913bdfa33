#include "core/order/order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

#include "core/order/splitmix.h"
#include "core/os/x86.h"

namespace npyfast {
namespace {

// The keys of one order, one after the other: SplitMix64 from where a chain of hashes leads, so
// that two orders that differ in one of the three numbers can't start from the same state. Neither
// can orders of n and n + 1 rows, on nearly the same grid, resemble each other.
class Keys {
 public:
  Keys(uint64_t seed, uint64_t epoch, uint64_t rows) : state_(Chain({seed, epoch, rows})) {}
  uint64_t Next() { return Mix(state_ += kGolden); }

 private:
  uint64_t state_;
};

// The smallest r with r * r >= n. REQUIRES: n <= 2^62.
uint64_t CeilSqrt(uint64_t n) {
  uint64_t r = static_cast<uint64_t>(std::sqrt(static_cast<double>(n)));
  while (r * r >= n && r > 0) --r;
  while (r * r < n) ++r;
  return r;
}

// A number below `range` that depends on all of `half` and of both keys.
//
// The upper half of multiply * half + add is pairwise independent over random keys (multiply-shift
// hashing), and what follows is a bijection until the last step, so it stays so; but it is linear
// in `half`, and the shift and the multiplication are there to end that.
[[gnu::always_inline]] inline uint32_t RoundFunction(uint32_t half, uint64_t multiply, uint64_t add,
                                                     uint32_t range) {
  // (multiply * half + add) >> 32, in the 32-bit products that vector units have.
  const uint64_t low = uint64_t{static_cast<uint32_t>(multiply)} * half + add;
  uint32_t h = static_cast<uint32_t>(low >> 32) + static_cast<uint32_t>(multiply >> 32) * half;
  h ^= h >> 15;
  h *= 0x9E3779B1;
  return static_cast<uint32_t>((uint64_t{h} * range) >> 32);
}

// (a + b) mod range, for a and b below range <= 2^31: a sum below range wraps far above it.
[[gnu::always_inline]] inline uint32_t AddModulo(uint32_t a, uint32_t b, uint32_t range) {
  const uint32_t sum = a + b;
  return std::min(sum, sum - range);
}

}  // namespace

Order::Order(uint64_t rows, uint64_t seed, uint64_t epoch) : rows_(rows) {
  if (rows < 2) return;
  const uint64_t height = CeilSqrt(rows);
  height_ = static_cast<uint32_t>(height);
  width_ = static_cast<uint32_t>((rows + height - 1) / height);
  // Two rounds divide what is left of a pattern by about the width: small grids take more of them.
  const int bits = std::max(1, static_cast<int>(std::bit_width(width_)) - 1);
  rounds_ = std::clamp(2 * ((24 + bits - 1) / bits), 6, kMaxRounds);

  Keys keys(seed, epoch, rows);
  rotation_ = MultiplyHigh(keys.Next(), rows);
  swap_ = keys.Next() >> 63;
  for (int i = 0; i < rounds_; ++i) {
    multiply_[i] = keys.Next();
    add_[i] = keys.Next();
  }
}

Order::Cell Order::Permute(Cell cell) const {
  for (int i = 0; i < rounds_; i += 2) {
    cell.left =
        AddModulo(cell.left, RoundFunction(cell.right, multiply_[i], add_[i], height_), height_);
    cell.right = AddModulo(cell.right,
                           RoundFunction(cell.left, multiply_[i + 1], add_[i + 1], width_), width_);
  }
  return cell;
}

uint64_t Order::Walk(Cell cell) const {
  uint64_t row;
  do {
    cell = Permute(cell);
    row = Join(cell);
  } while (row >= rows_);
  return row;
}

uint64_t Order::Rotate(uint64_t position) const {
  const uint64_t x = position + rotation_;
  return x < rows_ ? x : x - rows_;
}

Order::Cell Order::Enter(uint64_t position) const {
  return Split(Rotate(position < 2 ? position ^ swap_ : position));
}

uint64_t Order::operator()(uint64_t position) const {
  if (rows_ < 2) return 0;
  return Walk(Enter(position));
}

// Permutes numbers a block at a time: each step is a loop without branches over the block, which
// the compiler turns into vector instructions. Inlined once for each instruction set.
struct Order::Kernel {
  static constexpr size_t kBlock = 128;
  static constexpr size_t kLanes = 16;

  // Cells of numbers.
  struct Cells {
    alignas(64) std::array<uint32_t, kBlock> left;
    alignas(64) std::array<uint32_t, kBlock> right;
  };

  // Whole vectors: what is computed past `size` is thrown away.
  static constexpr size_t Padded(size_t size) { return (size + kLanes - 1) / kLanes * kLanes; }

  // out[i] = row of (x + i) mod rows, for i < size. REQUIRES: x < rows, size <= kBlock.
  [[gnu::always_inline]] static inline void FillBlock(const Order& order, uint64_t x, int64_t* out,
                                                      size_t size) {
    Cells cells;
    const size_t padded = Padded(size);
    Cell cell = order.Split(x);
    for (size_t i = 0; i < padded;) {
      const size_t run =
          std::min<uint64_t>({padded - i, order.width_ - cell.right, order.rows_ - x});
      for (size_t j = 0; j < run; ++j) {
        cells.left[i + j] = cell.left;
        cells.right[i + j] = cell.right + static_cast<uint32_t>(j);
      }
      i += run;
      x += run;
      cell = {cell.left + 1, 0};
      if (x == order.rows_) {
        x = 0;
        cell = {0, 0};
      }
    }
    PermuteBlock(order, cells, out, size);
  }

  // rows[i] = row of position rows[i], for i < size. REQUIRES: size <= kBlock.
  [[gnu::always_inline]] static inline void MapBlock(const Order& order, int64_t* rows,
                                                     size_t size) {
    Cells cells;
    for (size_t i = 0; i < size; ++i) {
      const Cell cell = order.Enter(static_cast<uint64_t>(rows[i]));
      cells.left[i] = cell.left;
      cells.right[i] = cell.right;
    }
    for (size_t i = size; i < Padded(size); ++i) cells.left[i] = cells.right[i] = 0;
    PermuteBlock(order, cells, rows, size);
  }

  // out[i] = the row where the walk from cells[i] ends, for i < size.
  [[gnu::always_inline]] static inline void PermuteBlock(const Order& order, Cells& cells,
                                                         int64_t* out, size_t size) {
    const size_t padded = Padded(size);
    const uint32_t height = order.height_, width = order.width_;
    auto& [left, right] = cells;
    for (int r = 0; r < order.rounds_; r += 2) {
      const uint64_t m0 = order.multiply_[r], a0 = order.add_[r];
      for (size_t i = 0; i < padded; ++i) {
        left[i] = AddModulo(left[i], RoundFunction(right[i], m0, a0, height), height);
      }
      const uint64_t m1 = order.multiply_[r + 1], a1 = order.add_[r + 1];
      for (size_t i = 0; i < padded; ++i) {
        right[i] = AddModulo(right[i], RoundFunction(left[i], m1, a1, width), width);
      }
    }

    for (size_t i = 0; i < size; ++i) {
      const Cell end{left[i], right[i]};
      uint64_t row = order.Join(end);
      if (row >= order.rows_) [[unlikely]]
        row = order.Walk(end);
      out[i] = static_cast<int64_t>(row);
    }
  }

  // Those for the processor at hand.
  struct Functions {
    void (*fill)(const Order& order, uint64_t x, int64_t* out, size_t size);
    void (*map)(const Order& order, int64_t* rows, size_t size);
  };

  static void Fill(const Order& order, uint64_t x, int64_t* out, size_t size) {
    FillBlock(order, x, out, size);
  }
  static void Map(const Order& order, int64_t* rows, size_t size) { MapBlock(order, rows, size); }

#ifdef NPYFAST_X86_64
  // The baseline of x86-64 has half the vector width and no 32-bit product that keeps the low half:
  // it takes twice as long.
  [[gnu::target("avx2")]] static void FillAvx2(const Order& order, uint64_t x, int64_t* out,
                                               size_t size) {
    FillBlock(order, x, out, size);
  }
  [[gnu::target("avx2")]] static void MapAvx2(const Order& order, int64_t* rows, size_t size) {
    MapBlock(order, rows, size);
  }

  static Functions Choose() {
    return HasAvx2() ? Functions{FillAvx2, MapAvx2} : Functions{Fill, Map};
  }
#else
  static Functions Choose() { return {Fill, Map}; }
#endif

  static const Functions& Chosen() {
    static const Functions functions = Choose();
    return functions;
  }
};

void Order::Fill(uint64_t first, std::span<int64_t> out) const {
  if (rows_ < 2) {
    std::fill(out.begin(), out.end(), 0);
    return;
  }
  const auto fill_block = Kernel::Chosen().fill;
  for (size_t i = 0; i < out.size(); i += Kernel::kBlock) {
    fill_block(*this, Rotate(first + i), &out[i], std::min(Kernel::kBlock, out.size() - i));
  }
  // The blocks know nothing of the swap.
  for (uint64_t p = first; p < 2 && p - first < out.size(); ++p) {
    out[p - first] = static_cast<int64_t>((*this)(p));
  }
}

void Order::Map(std::span<int64_t> positions) const {
  if (rows_ < 2) return;  // the only position is the only row
  const auto map_block = Kernel::Chosen().map;
  for (size_t i = 0; i < positions.size(); i += Kernel::kBlock)
    map_block(*this, &positions[i], std::min(Kernel::kBlock, positions.size() - i));
}

}  // namespace npyfast
