#ifndef NPYFAST_CORE_OS_BUFFER_POOL_H_
#define NPYFAST_CORE_OS_BUFFER_POOL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "core/os/mutex.h"

namespace npyfast {

// Memory for batches that is used again and again, because fresh memory costs a page fault for
// every 4 KiB written to it: more than the copy itself.
//
// Every block is aligned to kAlignment, which is what TensorFlow asks of memory that it adopts
// without a copy. One pool serves the whole process. Thread-safe; usable in a forked child.
class BufferPool {
 public:
  static constexpr size_t kAlignment = 64;
  // Free bytes that are kept whatever happens, for the next epoch's stream.
  static constexpr int64_t kKeptBytes = 64 << 20;

  static BufferPool& Shared();

  // Blocks of this size or more are refused: no process can address them.
  static constexpr int64_t kTooManyBytes = int64_t{1} << 48;

  // A block of at least `bytes` bytes, of unknown content. Throws std::bad_alloc.
  std::byte* Acquire(size_t bytes);
  // Takes a block back. REQUIRES: it came from Acquire(), and nobody uses it any more.
  void Release(std::byte* block) noexcept;

  // Keeps up to `bytes` more free bytes, for as long as a stream lives that needs them back at
  // once; a negative number ends that.
  void Reserve(int64_t bytes) noexcept;

  // Bytes handed out, and bytes waiting to be.
  int64_t used_bytes() const;
  int64_t free_bytes() const;

 private:
  BufferPool() = default;
  void Trim(int64_t limit) noexcept REQUIRES(mutex_);

  mutable Mutex mutex_;
  // By capacity; the last freed block, whose bytes the cache still holds, is the next one taken.
  std::map<size_t, std::vector<std::byte*>> free_ GUARDED_BY(mutex_);
  int64_t used_bytes_ GUARDED_BY(mutex_) = 0;
  int64_t free_bytes_ GUARDED_BY(mutex_) = 0;
  int64_t reserved_bytes_ GUARDED_BY(mutex_) = 0;
};

struct ReleaseToPool {
  void operator()(std::byte* block) const noexcept { BufferPool::Shared().Release(block); }
};

// Owns one block of the pool.
using Buffer = std::unique_ptr<std::byte[], ReleaseToPool>;

// Bytes of `rows` rows of `row_bytes` bytes each, and of two parts together; both end at
// kTooManyBytes, which no block has, instead of wrapping. Whatever counts the bytes of a batch does
// so by these. REQUIRES: nothing is negative.
inline int64_t BytesOfRows(int64_t rows, int64_t row_bytes) {
  int64_t bytes;
  if (__builtin_mul_overflow(rows, row_bytes, &bytes)) return BufferPool::kTooManyBytes;
  return std::min(bytes, BufferPool::kTooManyBytes);
}
inline int64_t BytesTogether(int64_t a, int64_t b) {
  return std::min(std::min(a, BufferPool::kTooManyBytes) + std::min(b, BufferPool::kTooManyBytes),
                  BufferPool::kTooManyBytes);
}

inline Buffer AcquireBuffer(size_t bytes) { return Buffer(BufferPool::Shared().Acquire(bytes)); }

inline Buffer AcquireRows(int64_t rows, int64_t row_bytes) {
  return AcquireBuffer(static_cast<size_t>(BytesOfRows(rows, row_bytes)));
}

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_BUFFER_POOL_H_
