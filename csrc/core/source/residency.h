#ifndef NPYFAST_CORE_SOURCE_RESIDENCY_H_
#define NPYFAST_CORE_SOURCE_RESIDENCY_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

namespace npyfast {

// How much of an array's files is being read into memory as a whole: kept with the array, so that
// the next epoch goes on where one has ended.
struct Residency {
  Residency() = default;
  ~Residency();
  Residency(const Residency&) = delete;
  Residency& operator=(const Residency&) = delete;

  // Bytes that the arrays of this process which are read as a whole take together.
  static int64_t TotalBytes();
  // Counts this array among them, with so many bytes. REQUIRES, for all below: mutex held.
  void Count(int64_t bytes);

  // One for all, so that fork() can wait until nobody holds it: a child must not find it locked,
  // nor what it guards half changed. Nobody opens or reads a file under it.
  static std::mutex mutex;

  int64_t counted_bytes = 0;
  // The chunks of all files, one after the other, that have been asked for.
  std::vector<bool> asked;
  // When a look at some of the pages of some rows last found them all in memory, and which rows.
  std::chrono::steady_clock::time_point resident_at{};
  int64_t resident_first = 0;
  int64_t resident_end = 0;
  // Whether the mappings have been told that rows will be read in random order.
  bool random = false;
  // Per file: whether its mapping has been told so.
  std::vector<bool> advised;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_RESIDENCY_H_
