#include "core/gather/copy.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/gather/cpu_prefetch.h"
#include "core/gather/nontemporal_copy.h"
#include "core/os/x86.h"

namespace npyfast {
namespace {

// Chunks of this size are copied row by row: in such rows, as in tiles, the next chunk is near, and
// the output is written in order. Smaller ones may be of Fortran order, where rows share cache
// lines.
constexpr int64_t kRowByRowFrom = 256;

template <typename Word>
Word Reversed(Word word) {
  if constexpr (sizeof(Word) == 2) return static_cast<Word>(__builtin_bswap16(word));
  if constexpr (sizeof(Word) == 4) return static_cast<Word>(__builtin_bswap32(word));
  if constexpr (sizeof(Word) == 8) return static_cast<Word>(__builtin_bswap64(word));
}

// Copies words and reverses the bytes of each. `source` and `out` may be the same.
template <typename Word>
void CopySwapped(const std::byte* source, int64_t count, std::byte* out) {
  for (int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, source + i * static_cast<int64_t>(sizeof word), sizeof word);
    word = Reversed(word);
    std::memcpy(out + i * static_cast<int64_t>(sizeof word), &word, sizeof word);
  }
}

void CopySwapped(const Swap& swap, const std::byte* source, std::byte* out) {
  source += swap.offset;
  out += swap.offset;
  if (!swap.inner.empty()) {
    for (int64_t i = 0; i < swap.count; ++i, source += swap.stride, out += swap.stride) {
      for (const Swap& inner : swap.inner) CopySwapped(inner, source, out);
    }
    return;
  }
  switch (swap.stride) {
    case 1:
      if (source != out) std::memcpy(out, source, static_cast<size_t>(swap.count));
      return;
    case 2:
      return CopySwapped<uint16_t>(source, swap.count, out);
    case 4:
      return CopySwapped<uint32_t>(source, swap.count, out);
    case 8:
      return CopySwapped<uint64_t>(source, swap.count, out);
    default:  // 16: long double
      for (int64_t i = 0; i < swap.count; ++i) {
        std::byte word[16];
        std::memcpy(word, source + i * 16, 16);
        for (size_t k = 0; k < 8; ++k) std::swap(word[k], word[15 - k]);
        std::memcpy(out + i * 16, word, 16);
      }
  }
}

// Chunks of a size that is known at compile time.
template <size_t kBytes>
void CopySmall(const std::byte* const* sources, size_t count, int64_t offset, std::byte* out,
               int64_t out_stride) {
  for (size_t i = 0; i < count; ++i) {
    if (i + kPrefetchAhead < count) __builtin_prefetch(sources[i + kPrefetchAhead] + offset);
    std::memcpy(out + static_cast<int64_t>(i) * out_stride, sources[i] + offset, kBytes);
  }
}

// Copies `bytes` bytes of each row, from `offset` on, to addresses out_stride apart.
void CopyContiguous(const std::byte* const* sources, size_t count, int64_t offset, int64_t bytes,
                    std::byte* out, int64_t out_stride, Stores stores) {
  switch (bytes) {
    case 1:
      return CopySmall<1>(sources, count, offset, out, out_stride);
    case 2:
      return CopySmall<2>(sources, count, offset, out, out_stride);
    case 4:
      return CopySmall<4>(sources, count, offset, out, out_stride);
    case 8:
      return CopySmall<8>(sources, count, offset, out, out_stride);
    case 16:
      return CopySmall<16>(sources, count, offset, out, out_stride);
    default:
      break;
  }
  static const PastCacheCopy copy_past_cache = FindPastCacheCopy();
  const bool small = bytes < kPrefetchBelow;
  for (size_t i = 0; i < count; ++i) {
    PrefetchAt(sources, i, count, offset, bytes);
    const std::byte* source = sources[i] + offset;
    std::byte* slot = out + static_cast<int64_t>(i) * out_stride;
    if (stores == Stores::kPastCache && !small) {
      copy_past_cache(source, static_cast<size_t>(bytes), slot);
    } else {
      std::memcpy(slot, source, static_cast<size_t>(bytes));
    }
  }
}

// Copies the chunk at `offset` of each row, to addresses out_stride apart, in native byte order.
void CopyChunks(const Column& column, const std::byte* const* sources, size_t count, int64_t offset,
                std::byte* out, int64_t out_stride, Stores stores) {
  const bool all_swapped = column.swaps.size() == 1 && column.swaps[0].inner.empty() &&
                           column.swaps[0].count * column.swaps[0].stride == column.chunk_bytes;
  if (all_swapped) {
    for (size_t i = 0; i < count; ++i) {
      CopySwapped(column.swaps[0], sources[i] + offset, out + static_cast<int64_t>(i) * out_stride);
    }
    return;
  }
  if (column.swaps.empty())
    return CopyContiguous(sources, count, offset, column.chunk_bytes, out, out_stride, stores);
  CopyContiguous(sources, count, offset, column.chunk_bytes, out, out_stride, Stores::kCached);
  for (size_t i = 0; i < count; ++i) {
    std::byte* chunk = out + static_cast<int64_t>(i) * out_stride;
    // Overlapping fields are read from the source, where no field before them has been swapped.
    const std::byte* from = column.overlapping ? sources[i] + offset : chunk;
    for (const Swap& swap : column.swaps) CopySwapped(swap, from, chunk);
  }
}

// Copies the first chunk of all rows, then the second: in Fortran order the same chunk of all rows
// is contiguous, and the chunks of one row are pages apart.
void CopyAxes(const Column& column, size_t axis, const std::byte* const* sources, size_t count,
              int64_t offset, int64_t dense_bytes, std::byte* out, Stores stores) {
  if (axis == column.axes.size())
    return CopyChunks(column, sources, count, offset, out, column.row_bytes, stores);
  const Axis& dim = column.axes[axis];
  const int64_t step = dense_bytes / dim.count;
  for (int64_t i = 0; i < dim.count; ++i)
    CopyAxes(column, axis + 1, sources, count, offset + i * dim.stride, step, out + i * step,
             stores);
}

}  // namespace

void CopyColumn(const Column& column, const std::byte* const* sources, size_t count, std::byte* out,
                Stores stores) {
  if (column.row_bytes == 0 || count == 0) return;
  if (!column.axes.empty() && column.chunk_bytes >= kRowByRowFrom) {
    for (size_t i = 0; i < count; ++i, out += column.row_bytes)
      CopyAxes(column, 0, sources + i, 1, column.offset, column.row_bytes, out, stores);
    return;
  }
  CopyAxes(column, 0, sources, count, column.offset, column.row_bytes, out, stores);
}

void FinishStores() {
#ifdef NPYFAST_X86_64
  _mm_sfence();
#endif
}

}  // namespace npyfast
