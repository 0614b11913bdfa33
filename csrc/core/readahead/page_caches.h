#ifndef NPYFAST_CORE_READAHEAD_PAGE_CACHES_H_
#define NPYFAST_CORE_READAHEAD_PAGE_CACHES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

#include "core/os/page_cache.h"
#include "core/source/array.h"

namespace npyfast {

// The PageCache of each file of an array. Few of them are open at once, as each has a descriptor.
// For one thread. REQUIRES: the array outlives it.
class PageCaches {
 public:
  explicit PageCaches(const Array& array) : array_(array) {}

  // Valid until the next call.
  PageCache& Of(size_t file);
  void Close() { open_.clear(); }

 private:
  const Array& array_;
  std::map<size_t, PageCache> open_;
};

// Pages to be dropped from memory after their last use: those that readahead brought there. For one
// thread. REQUIRES: as PageCaches().
class PagesToDrop {
 public:
  explicit PagesToDrop(const Array& array) : array_(array) {}

  // Remembers a range that unit `unit` needs. REQUIRES: units do not decrease.
  void Add(size_t file, int64_t offset, int64_t bytes, int64_t unit);
  // Drops what was remembered for units before this one, at most so many ranges. Returns whether
  // there was any.
  bool DropBefore(int64_t unit, int64_t most_ranges, PageCaches& caches);

 private:
  struct Range {
    size_t file;
    int64_t offset;
    int64_t bytes;
    int64_t unit;
  };

  const Array& array_;
  std::deque<Range> ranges_;  // by unit
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_PAGE_CACHES_H_
