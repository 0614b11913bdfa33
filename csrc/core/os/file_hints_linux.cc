#if defined(__linux__)

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "core/os/file_hints.h"

namespace npyfast {
namespace {

// cachestat(2), since Linux 6.5; C libraries do not know it yet. The same number on every
// architecture.
constexpr long kCachestat = 451;

struct CacheRange {
  uint64_t offset;
  uint64_t bytes;
};

struct CacheCounts {
  uint64_t cached;
  uint64_t dirty;
  uint64_t writeback;
  uint64_t evicted;
  uint64_t recently_evicted;
};

}  // namespace

void HintRandom(int fd) { ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); }

bool HintWillNeed(int fd, int64_t offset, int64_t bytes) {
  return ::posix_fadvise(fd, offset, bytes, POSIX_FADV_WILLNEED) == 0;
}

void HintDontNeed(int fd, int64_t offset, int64_t bytes) {
  ::posix_fadvise(fd, offset, bytes, POSIX_FADV_DONTNEED);
}

int64_t CachedPages(int fd, int64_t offset, int64_t bytes) {
  const CacheRange range = {static_cast<uint64_t>(offset), static_cast<uint64_t>(bytes)};
  CacheCounts counts = {};
  if (::syscall(kCachestat, fd, &range, &counts, 0) != 0) return -1;
  return static_cast<int64_t>(counts.cached);
}

// Unlike mincore(2), this tells the truth to a process that may only read the file.
int IsCached(int fd, int64_t offset) {
  char byte;
  const iovec place = {&byte, 1};
  if (::preadv2(fd, &place, 1, offset, RWF_NOWAIT) == 1) return 1;
  return errno == EAGAIN ? 0 : -1;
}

}  // namespace npyfast

#endif  // __linux__
