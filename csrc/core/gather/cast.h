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

// What rows are multiplied by, or what is added to them: dense, in native byte order and in the
// type of the result, broadcast over a row as NumPy does it.
struct Operand {
  std::vector<int64_t> shape;
  std::vector<std::byte> items;
};

// How rows of one type of number come out as another: converted, then scaled, then shifted, each
// step rounded to the result's type, bit for bit as npyfast/_backends/cast.py has NumPy do it.
//
// From b, i, u, f and bfloat16 (kind V, 2 bytes, no fields) to f and bfloat16 of up to 8 bytes, and
// from b, i and u to i and u. Immutable and thread-safe.
class Cast {
 public:
  // The byte order of the dtypes does not matter: rows are given and made in the native one.
  // Throws Error where there is no such cast, or an operand does not broadcast to row_shape or
  // holds another number of items than its shape says, or a row would have more bytes than can be
  // counted.
  Cast(const Dtype& from, const Dtype& to, std::span<const int64_t> row_shape,
       const std::optional<Operand>& scale, const std::optional<Operand>& shift);

  int64_t source_row_bytes() const { return source_row_.row_bytes; }
  int64_t row_bytes() const { return row_bytes_; }

  // Casts `count` dense rows in native byte order, of which row i begins at sources[i], aligned to
  // nothing, to `out`, one behind the other.
  //
  // REQUIRES: out holds count * row_bytes() bytes, of any alignment, and overlaps no source. After
  // kPastCache, call FinishStores(). May be left at any place (see guard.h): takes no lock, has no
  // destructor to run. Where it is left, the thread's floating-point environment may be the
  // default.
  void Rows(const std::byte* const* sources, size_t count, std::byte* out,
            Stores stores) const noexcept;

 private:
  // An operand, ready for runs of items from any item of a row on.
  struct Broadcast {
    int64_t period = 1;   // items after which it repeats itself: a row's, or a part of them
    int64_t block = 1;    // items of a period in which one pattern is repeated; or the period
    int64_t pattern = 1;  // items of that pattern
    int64_t alike = 1;    // items one behind the other that are the same
    int64_t kept = 0;     // numbers that are kept of each block
    // Of each block its pattern, and the beginning of it once more, so that no run of a kernel ends
    // with the pattern; or, where many are alike, one of each.
    std::vector<std::byte> items;
  };

  struct Scratch;

  Broadcast MakeBroadcast(const char* name, const Operand& operand,
                          std::span<const int64_t> row_shape) const;
  const std::byte* At(const Broadcast& broadcast, int64_t item, int64_t* items, std::byte* filled,
                      int64_t* filled_with) const noexcept;
  void Run(const std::byte* source, int64_t items, std::byte* out, Stores stores,
           Scratch* scratch) const noexcept;

  CastKernel kernel_ = nullptr;
  PastCacheCopy copy_past_cache_ = FindPastCacheCopy();
  int64_t from_bytes_ = 0;
  int64_t to_bytes_ = 0;
  int64_t row_items_ = 1;
  int64_t row_bytes_ = 0;
  Column source_row_;  // a row as one run of bytes
  std::optional<Broadcast> scale_;
  std::optional<Broadcast> shift_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_CAST_H_
