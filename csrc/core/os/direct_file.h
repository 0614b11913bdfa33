#ifndef NPYFAST_CORE_OS_DIRECT_FILE_H_
#define NPYFAST_CORE_OS_DIRECT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/os/file.h"

namespace npyfast {

// A file opened for reads that bypass the page cache. Immutable and thread-safe.
class DirectFile {
 public:
  // Files that ask for more are refused.
  static constexpr int64_t kMostAlignment = 4096;

  // Null if the path does not lead to this file in this state any more, or its file system has no
  // direct reads (tmpfs, some FUSE, overlays of them); before Linux 6.1 the first block is read to
  // find out. Throws std::bad_alloc only.
  static std::shared_ptr<const DirectFile> Open(const MappedFile& file);
  ~DirectFile();
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;

  int descriptor() const { return descriptor_; }
  // Offsets, sizes and addresses of reads are multiples of this power of two.
  int64_t alignment() const { return alignment_; }

 private:
  explicit DirectFile(int descriptor) : descriptor_(descriptor) {}

  const int descriptor_;
  int64_t alignment_ = kMostAlignment;
};

// Memory that devices write into: aligned to pages, in huge pages if there are any. A forked child
// does not have it: it must never see a page that is being written.
class DirectBuffers {
 public:
  // Throws std::bad_alloc.
  explicit DirectBuffers(size_t bytes);
  ~DirectBuffers();
  DirectBuffers(const DirectBuffers&) = delete;
  DirectBuffers& operator=(const DirectBuffers&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_DIRECT_FILE_H_
