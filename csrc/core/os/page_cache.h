#ifndef NPYFAST_CORE_OS_PAGE_CACHE_H_
#define NPYFAST_CORE_OS_PAGE_CACHE_H_

#include <cstdint>

#include "core/os/file.h"

namespace npyfast {

// What the kernel's page cache holds of one file, and a say in it.
//
// Hints and guesses: nothing here throws, and what the system refuses is not done. Movable; not
// thread-safe.
class PageCache {
 public:
  // Opens the file anew, if it is still the same.
  explicit PageCache(const MappedFile& file);
  ~PageCache();

  PageCache(PageCache&& other) noexcept;
  PageCache& operator=(PageCache&& other) noexcept;

  // How much of a range is there, from 0 to 1; of one page where the kernel does not tell more
  // (before Linux 6.5, or if the file is somebody else's). Negative where nothing is known.
  //
  // REQUIRES: 0 <= offset; bytes >= 1; offset + bytes <= the file's size.
  double Share(int64_t offset, int64_t bytes) const;

  // Whether all of a range is certain to be there. REQUIRES: as Share().
  bool HoldsAll(int64_t offset, int64_t bytes) const;

  // Starts reading a range. Returns whether the system has taken the hint.
  bool StartReading(int64_t offset, int64_t bytes) const;
  // Reads a byte, after which its page is there.
  void Read(int64_t offset) const;
  // Drops whole pages within a range that no mapping holds.
  void LetGo(int64_t offset, int64_t bytes) const;

 private:
  int fd_ = -1;
  bool counts_ = false;  // whether cachestat(2) tells the truth
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_PAGE_CACHE_H_
