#if defined(__APPLE__)

#include <fcntl.h>

#include <algorithm>
#include <climits>

#include "core/os/file_hints.h"

namespace npyfast {

void HintRandom(int fd) { ::fcntl(fd, F_RDAHEAD, 0); }

bool HintWillNeed(int fd, int64_t offset, int64_t bytes) {
  radvisory range = {};
  range.ra_offset = offset;
  range.ra_count = static_cast<int>(std::min<int64_t>(bytes, INT_MAX));
  return ::fcntl(fd, F_RDADVISE, &range) == 0;
}

// There is no such call: the pages stay until the system needs their memory.
void HintDontNeed(int, int64_t, int64_t) {}

// mincore(2) tells about a mapping, not about the cache.
int64_t CachedPages(int, int64_t, int64_t) { return -1; }
int IsCached(int, int64_t) { return -1; }

}  // namespace npyfast

#endif  // __APPLE__
