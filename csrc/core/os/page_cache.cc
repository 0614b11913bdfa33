#include "core/os/page_cache.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/errors.h"
#include "core/os/page_size.h"

namespace npyfast {
namespace {

// cachestat(2), which libraries of C are yet to know; it has the same number everywhere.
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

// Pages of a range that are there; negative where the kernel does not tell.
int64_t CachedPages(int fd, int64_t offset, int64_t bytes) {
  const CacheRange range = {static_cast<uint64_t>(offset), static_cast<uint64_t>(bytes)};
  CacheCounts counts = {};
  if (::syscall(kCachestat, fd, &range, &counts, 0) != 0) return -1;
  return static_cast<int64_t>(counts.cached);
}

}  // namespace

PageCache::PageCache(const MappedFile& file) {
  try {
    if (!(StampOf(file.place()) == file.stamp())) return;
  } catch (const OsError&) {
    return;
  }
  fd_ = ::open(file.place().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  // A look at a page must not make the kernel read megabytes around it.
  if (fd_ < 0) return;
  ::posix_fadvise(fd_, 0, 0, POSIX_FADV_RANDOM);
  // Of a file of overlayfs, as in a container, it counts no page at all: those are another file's.
  counts_ = CachedPages(fd_, 0, 1) > 0;
  if (counts_) return;
  Read(0);
  counts_ = CachedPages(fd_, 0, 1) > 0;
}

PageCache::~PageCache() {
  if (fd_ >= 0) ::close(fd_);
}

PageCache::PageCache(PageCache&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), counts_(other.counts_) {}

PageCache& PageCache::operator=(PageCache&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(counts_, other.counts_);
  return *this;
}

double PageCache::Share(int64_t offset, int64_t bytes) const {
  if (fd_ < 0) return -1;
  if (const int64_t cached = counts_ ? CachedPages(fd_, offset, bytes) : -1; cached >= 0) {
    const int64_t page = PageBytes();
    const int64_t pages = (offset + bytes - 1) / page - offset / page + 1;
    return static_cast<double>(cached) / static_cast<double>(pages);
  }
  // Unlike mincore(2), this tells the truth to who may only read the file. A page that is missing
  // may be read for it.
  char byte;
  const iovec place = {&byte, 1};
  if (::preadv2(fd_, &place, 1, offset + bytes / 2, RWF_NOWAIT) == 1) return 1;
  return errno == EAGAIN ? 0 : -1;
}

bool PageCache::StartReading(int64_t offset, int64_t bytes) const {
  return fd_ >= 0 && ::posix_fadvise(fd_, offset, bytes, POSIX_FADV_WILLNEED) == 0;
}

void PageCache::Read(int64_t offset) const {
  char byte;
  if (fd_ >= 0) static_cast<void>(!::pread(fd_, &byte, 1, offset));
}

void PageCache::LetGo(int64_t offset, int64_t bytes) const {
  if (fd_ >= 0) ::posix_fadvise(fd_, offset, bytes, POSIX_FADV_DONTNEED);
}

}  // namespace npyfast
