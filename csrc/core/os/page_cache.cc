#include "core/os/page_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "core/base/errors.h"
#include "core/os/file_hints.h"
#include "core/os/page_size.h"

namespace npyfast {

PageCache::PageCache(const MappedFile& file) {
  try {
    if (!(StampOf(file.place()) == file.stamp())) return;
  } catch (const OsError&) {
    return;
  }
  fd_ = ::open(file.place().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  // A look at a page must not make the kernel read megabytes around it.
  if (fd_ < 0) return;
  HintRandom(fd_);
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

bool PageCache::HoldsAll(int64_t offset, int64_t bytes) const {
  return counts_ && Share(offset, bytes) == 1;
}

double PageCache::Share(int64_t offset, int64_t bytes) const {
  if (fd_ < 0) return -1;
  if (const int64_t cached = counts_ ? CachedPages(fd_, offset, bytes) : -1; cached >= 0) {
    const int64_t page = PageBytes();
    const int64_t pages = (offset + bytes - 1) / page - offset / page + 1;
    return static_cast<double>(cached) / static_cast<double>(pages);
  }
  return IsCached(fd_, offset + bytes / 2);
}

bool PageCache::StartReading(int64_t offset, int64_t bytes) const {
  return fd_ >= 0 && HintWillNeed(fd_, offset, bytes);
}

void PageCache::Read(int64_t offset) const {
  char byte;
  if (fd_ >= 0) static_cast<void>(!::pread(fd_, &byte, 1, offset));
}

void PageCache::LetGo(int64_t offset, int64_t bytes) const {
  if (fd_ >= 0) HintDontNeed(fd_, offset, bytes);
}

}  // namespace npyfast
