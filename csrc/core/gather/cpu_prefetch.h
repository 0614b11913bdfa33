#ifndef NPYFAST_CORE_GATHER_CPU_PREFETCH_H_
#define NPYFAST_CORE_GATHER_CPU_PREFETCH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace npyfast {

// Shuffled rows below this size defeat the hardware prefetcher at each row. They are prefetched so
// many rows ahead.
inline constexpr int64_t kPrefetchBelow = 1024;
inline constexpr size_t kPrefetchAhead = 8;

// Prefetches cache lines of a coming row, before the row at sources[i] is copied: `bytes` bytes
// from `offset` on.
inline void PrefetchAt(const std::byte* const* sources, size_t i, size_t count, int64_t offset,
                       int64_t bytes) {
  constexpr int64_t kCacheLine = 64;
  // The hardware prefetcher works within larger rows, but stops at the end of each page. The
  // beginning of each page of the next row is prefetched, as far as it fits into the first-level
  // cache.
  constexpr int64_t kPage = 4096;
  constexpr int64_t kPagesAhead = 64;
  if (bytes < kPrefetchBelow) {
    if (i + kPrefetchAhead >= count) return;
    const std::byte* row = sources[i + kPrefetchAhead] + offset;
    for (int64_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(row + at);
  } else if (i + 1 < count) {
    const std::byte* row = sources[i + 1] + offset;
    const int64_t end = std::min(bytes, kPagesAhead * kPage);
    for (int64_t at = 0; at < end; at += kPage) {
      __builtin_prefetch(row + at);
      __builtin_prefetch(row + at + kCacheLine);
    }
  }
}

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_CPU_PREFETCH_H_
