#ifndef NPYFAST_TESTS_CORE_SUPPORT_CACHED_H_
#define NPYFAST_TESTS_CORE_SUPPORT_CACHED_H_

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/os/file.h"
#include "core/os/page_cache.h"
#include "tests/core/support/check.h"

// What is in the page cache of a file, by mincore(2): the judge of what readahead did.
namespace npyfast::testing {

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("could not open " + path);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

 private:
  int fd_;
};

// For each page of a file, whether it is in memory.
inline std::vector<bool> Cached(const std::string& path) {
  const Descriptor file(path);
  const auto bytes = static_cast<size_t>(std::filesystem::file_size(path));
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  void* mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) throw std::runtime_error("could not map " + path);
  std::vector<unsigned char> found((bytes + page - 1) / page);
  const bool known = ::mincore(mapped, bytes, found.data()) == 0;
  ::munmap(mapped, bytes);
  if (!known) throw std::runtime_error("mincore() failed");
  std::vector<bool> cached;
  for (const unsigned char flags : found) cached.push_back((flags & 1) != 0);
  return cached;
}

// Whether the file is on a filesystem that has its files in memory alone.
inline bool HasNoDisk(const std::string& path) {
  struct statfs status;
  if (::statfs(path.c_str(), &status) != 0) throw std::runtime_error("statfs " + path);
  return status.f_type == TMPFS_MAGIC || status.f_type == static_cast<long>(RAMFS_MAGIC);
}

// Whether the file can be read past the page cache, and is: then nothing but whole blocks can be
// read. Asks the system, not the code that is tested.
inline bool HasDirectReads(const std::string& path) {
  if (HasNoDisk(path)) return false;
  constexpr size_t kBlock = 4096;
  alignas(kBlock) static char block[2 * kBlock];
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (file < 0) return false;
  const bool found = ::pread(file, block, kBlock, 0) >= 0 && ::pread(file, block + 1, 1, 1) < 0;
  ::close(file);
  return found;
}

// Skips the test where the file has no direct reads. Fails where it has, but was not opened.
inline void NeedsDirectReads(const std::string& path, bool opened) {
  if (!HasDirectReads(path)) SKIP("this filesystem has no direct reads");
  CHECK(opened);
}

inline int64_t CachedPages(const std::string& path) {
  const std::vector<bool> cached = Cached(path);
  return std::count(cached.begin(), cached.end(), true);
}

// Has the kernel let go of a file that nobody has mapped. Skips the test where it can't, because
// the file is in memory alone (tmpfs).
inline void Evict(const std::string& path) {
  const Descriptor file(path);
  ::fsync(file.get());
  if (HasNoDisk(path)) SKIP("this filesystem keeps its files in memory");
  // A page that another CPU has just put there may take another try.
  for (int i = 0; i < 1000; ++i) {
    ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
    if (CachedPages(path) == 0) return;
    ::usleep(1000);
  }
  CHECK_EQ(CachedPages(path), int64_t{0});
}

// Skips the test where only mincore(2) knows what is there, as on overlayfs.
inline void NeedsToldPages(const std::string& path) {
  if (PageCache(MappedFile(path)).Share(0, 1) < 0)
    SKIP("this filesystem does not tell what is in memory");
}

// Has a range read, and nothing around it.
inline void ReadRange(const std::string& path, int64_t offset, int64_t bytes) {
  const Descriptor file(path);
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM);
  std::vector<char> read(static_cast<size_t>(bytes));
  if (::pread(file.get(), read.data(), read.size(), offset) != bytes)
    throw std::runtime_error("could not read " + path);
}

}  // namespace npyfast::testing

#endif  // NPYFAST_TESTS_CORE_SUPPORT_CACHED_H_
