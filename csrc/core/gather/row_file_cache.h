#ifndef NPYFAST_CORE_GATHER_ROW_FILE_CACHE_H_
#define NPYFAST_CORE_GATHER_ROW_FILE_CACHE_H_

#include <atomic>
#include <cstdint>

#include "core/order/splitmix.h"
#include "core/source/residency.h"

namespace npyfast {

// Which rows that have files of their own are read through the page cache, and so stay there:
// always the same ones, because a cache of whatever was read last has lost most of them before an
// epoch comes to them again. The others are read past it.
//
// Chosen by a hash, so that it is the same share of the rows whichever of them a run reads.
// Thread-safe.
class RowFileCache {
 public:
  bool Keeps(int64_t row) const {
    const uint64_t end = end_.load(std::memory_order_relaxed);
    return end == UINT64_MAX || Mix(static_cast<uint64_t>(row)) < end;
  }

  // Keeps this share of the rows from now on, from 0 to 1, which takes so many bytes of memory.
  void Keep(double share, int64_t bytes) {
    const double end = share * 0x1p64;
    end_.store(end < 0x1p64 ? static_cast<uint64_t>(end) : UINT64_MAX, std::memory_order_relaxed);
    memory_.Set(bytes);
  }
  int64_t bytes() const { return memory_.bytes(); }

 private:
  std::atomic<uint64_t> end_{UINT64_MAX};  // of the hashes; the last one: all rows
  MemoryAccount memory_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_ROW_FILE_CACHE_H_
