#ifndef NPYFAST_CORE_GATHER_CAST_H_
#define NPYFAST_CORE_GATHER_CAST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/gather/cast_kernel.h"
#include "core/gather/column_layout.h"
#include "core/gather/copy.h"
#include "core/gather/nontemporal_copy.h"
#include "core/npy/dtype.h"

namespace npyfast {

// The factors or summands of a row: dense, in native byte order and in the type of the result,
// broadcast over a row as NumPy does it.
struct Operand {
  std::vector<int64_t> shape;
  std::vector<std::byte> numbers;
};

// Converts rows from one type of number to another, then scales and shifts them. Each step is
// rounded to the result's type, bit for bit as in npyfast/_backends/cast.py.
//
// From b, i, u, f and bfloat16 (kind V, 2 bytes, no fields) to f and bfloat16 of up to 8 bytes, and
// from b, i and u to i and u. Immutable and thread-safe.
class Cast {
 public:
  // The byte order of the dtypes does not matter: rows are read and written in native byte order.
  // Throws Error if there is no such cast, if an operand does not broadcast to row_shape or does
  // not hold as many numbers as its shape says, or if a row takes 2^63 bytes or more.
  Cast(const Dtype& from, const Dtype& to, std::span<const int64_t> row_shape,
       const std::optional<Operand>& scale, const std::optional<Operand>& shift);

  int64_t source_row_bytes() const { return source_row_.row_bytes; }
  int64_t row_bytes() const { return row_bytes_; }

  // Casts `count` dense rows in native byte order to `out`, one after the other. Row i begins at
  // sources[i]. Nothing need be aligned.
  //
  // REQUIRES: out holds count * row_bytes() bytes and overlaps no source. After kPastCache, call
  // FinishStores(). May be left at any point (see RunGuarded()): takes no lock, and has no
  // destructor to run. Then the thread may be left with the default floating-point environment.
  void Rows(const std::byte* const* sources, size_t count, std::byte* out,
            Stores stores) const noexcept;

 private:
  // An operand, laid out so that the numbers for consecutive elements of a row are consecutive,
  // from whichever element a kernel begins. Letters are numbers, over rows of shape (2, 2000, 3):
  //
  //   operand's shape | over the elements of a row | period | section | pattern | alike | kept
  //   ----------------|----------------------------|--------|---------|---------|-------|----------
  //   ()              | aaaaaaaaaaaa...            |      1 |       1 |       1 |     1 | aaa...
  //   (3,)            | abcabcabcabc...            |      3 |       3 |       3 |     1 | abcabc...
  //   (2, 1, 1)       | aaaaaa...a bbbbbb...b      |  12000 |   12000 |   12000 |  6000 | ab
  //   (2, 1, 3)       | abcabc...c defdef...f      |  12000 |    6000 |       3 |     1 | abcabc...
  //                   |                            |        |         |         |       | defdef...
  //   (2, 2000, 3)    | abcdefghij...              |  12000 |   12000 |   12000 |     1 |
  //   abcdefg...
  //
  // Dots in the last column are what a kernel needs to go on once it has begun with any of the
  // numbers before. All counts are elements.
  struct Broadcast {
    int64_t period = 1;   // after which the operand repeats itself: a row, or a part of it
    int64_t section = 1;  // of a period, in which one pattern is repeated; or the period
    int64_t pattern = 1;  // of a section
    int64_t alike = 1;    // consecutive ones that have the same number, if these are many; else 1
    int64_t kept = 0;     // numbers kept of each section
    std::vector<std::byte> numbers;
  };

  struct Scratch;

  Broadcast MakeBroadcast(const char* name, const Operand& operand,
                          std::span<const int64_t> row_shape) const;
  // All but the numbers. `shape` is the operand's, with as many axes as a row has.
  Broadcast LayOut(std::span<const int64_t> shape, std::span<const int64_t> row_shape) const;
  // The numbers for *elements elements of a row from `element` on, or for fewer: then *elements is
  // changed. Equal numbers are written to `filled`, unless they are there already.
  const std::byte* At(const Broadcast& broadcast, int64_t element, int64_t* elements,
                      std::byte* filled, int64_t* filled_with) const noexcept;
  // Casts consecutive elements, the first of which is the first of a row.
  void Elements(const std::byte* source, int64_t elements, std::byte* out, Stores stores,
                Scratch* scratch) const noexcept;

  CastKernel kernel_ = nullptr;
  PastCacheCopy copy_past_cache_ = FindPastCacheCopy();
  int64_t from_bytes_ = 0;
  int64_t to_bytes_ = 0;
  int64_t row_elements_ = 1;
  int64_t row_bytes_ = 0;
  Column source_row_;  // a contiguous row
  std::optional<Broadcast> scale_;
  std::optional<Broadcast> shift_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_CAST_H_
