#ifndef NPYFAST_CORE_SOURCE_RESIDENCY_H_
#define NPYFAST_CORE_SOURCE_RESIDENCY_H_

#include <chrono>
#include <cstdint>
#include <vector>

#include "core/os/mutex.h"

namespace npyfast {

// How much of an array's files has been read into memory. Kept with the array, so that the next
// epoch continues where the last one ended.
struct Residency {
  Residency() = default;
  ~Residency();
  Residency(const Residency&) = delete;
  Residency& operator=(const Residency&) = delete;

  // Bytes that the arrays of this process which are read as a whole take together.
  static int64_t TotalBytes();
  // One for all, so that fork() can wait until nobody holds it: a child must not find it locked,
  // nor what it guards half changed. Nobody opens or reads a file under it.
  static Mutex mutex;

  // Counts this array among those read as a whole, with this many bytes.
  void Count(int64_t bytes) REQUIRES(mutex);

  int64_t counted_bytes GUARDED_BY(mutex) = 0;
  // Whether each chunk has been requested: the chunks of all files, in file order.
  std::vector<bool> asked GUARDED_BY(mutex);
  // When a sample of the pages of some rows was last found to be in memory, and which rows.
  std::chrono::steady_clock::time_point resident_at GUARDED_BY(mutex){};
  int64_t resident_first GUARDED_BY(mutex) = 0;
  int64_t resident_end GUARDED_BY(mutex) = 0;
  // Whether the mappings have been told that rows will be read in random order.
  bool random GUARDED_BY(mutex) = false;
  // Per file: whether its mapping has been told so.
  std::vector<bool> advised GUARDED_BY(mutex);
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_RESIDENCY_H_
