#ifndef NPYFAST_CORE_SOURCE_RESIDENCY_H_
#define NPYFAST_CORE_SOURCE_RESIDENCY_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/os/mutex.h"

namespace npyfast {

// The mutex of all that readahead remembers of arrays. There is one for all arrays, because fork()
// waits for it: a child must find it unlocked, and what it guards complete. No file is opened or
// read while it is held.
class ResidencyMutex {
 protected:
  static Mutex mutex_;

 private:
  friend struct ResidencyFork;
  friend struct ResidencyTest;
};

// The memory that an array takes because it is read as a whole.
class MemoryAccount : ResidencyMutex {
 public:
  MemoryAccount() = default;
  ~MemoryAccount();
  MemoryAccount(const MemoryAccount&) = delete;
  MemoryAccount& operator=(const MemoryAccount&) = delete;

  // Of all arrays of this process.
  static int64_t TotalBytes();
  int64_t bytes() const;
  int64_t other_bytes() const;  // of all other arrays
  void Set(int64_t bytes);

 private:
  static int64_t total_bytes_ GUARDED_BY(mutex_);
  int64_t bytes_ GUARDED_BY(mutex_) = 0;
};

// Which chunks of an array have been requested, by any of its readers.
class ChunkClaims : ResidencyMutex {
 public:
  // None of so many chunks.
  void Reset(int64_t chunks);
  // Marks a chunk as requested. Returns false if it was already.
  bool Claim(int64_t chunk);

 private:
  std::vector<bool> requested_ GUARDED_BY(mutex_);
};

// Which chunks of an array are in memory to stay: those of the part that is kept there because the
// whole does not fit. All readers copy them from the mapping, and read the others from the disk.
class ResidentChunks : ResidencyMutex {
 public:
  // Makes room for so many chunks, of which none is resident. Does so once for an array.
  void Prepare(int64_t chunks);
  bool IsPrepared() const;
  // Whether all chunks of [first, last] are. Lock-free, as Set(). REQUIRES, for both: the caller
  // has called Prepare(), or has seen IsPrepared().
  bool Hold(int64_t first, int64_t last) const;
  // How many are resident, but for those of [first, end). REQUIRES: as Hold().
  int64_t CountOutside(int64_t first, int64_t end) const;
  void Set(int64_t chunk, bool resident);

 private:
  std::vector<std::atomic<bool>> resident_;  // is given its size under the mutex
};

// The rows that were last seen in memory.
class SeenRows : ResidencyMutex {
 public:
  void Remember(int64_t first_row, int64_t end_row);
  // Whether all of these rows were seen there within the last second.
  bool Cover(int64_t first_row, int64_t end_row) const;

 private:
  std::chrono::steady_clock::time_point at_ GUARDED_BY(mutex_){};
  int64_t first_row_ GUARDED_BY(mutex_) = 0;
  int64_t end_row_ GUARDED_BY(mutex_) = 0;
};

// Which mappings of an array the kernel has been told to expect reads in random order of.
class RandomAdvice : ResidencyMutex {
 public:
  // Whether such reads are to be expected from now on. Returns the files whose mappings have been
  // told so and must be told otherwise.
  std::vector<size_t> Expect(bool random, size_t files);
  bool expected() const;
  // Whether the mapping of a file must be told, which the caller does: true once for each.
  bool ShouldTell(size_t file);

 private:
  bool random_ GUARDED_BY(mutex_) = false;
  std::vector<bool> told_ GUARDED_BY(mutex_);  // for each file
};

// What readahead remembers of an array from one epoch to the next, and shares among its readers.
// Every part is thread-safe.
struct Residency {
  MemoryAccount memory;
  ChunkClaims chunks;
  ResidentChunks resident;
  SeenRows seen;
  RandomAdvice advice;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_RESIDENCY_H_
