#include "core/os/direct_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/magic.h>
#include <sys/vfs.h>
#endif

#include <algorithm>
#include <new>

#include "core/base/errors.h"

namespace npyfast {
namespace {

#if defined(__linux__)

int OpenDirect(const std::string& path) {
  // Not to wait where a FIFO has taken the file's place.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
  // But reads are to wait. Some kernels would end those of io_uring with EAGAIN where they can't be
  // started at once.
  if (descriptor < 0 || ::fcntl(descriptor, F_SETFL, O_DIRECT) == 0) return descriptor;
  ::close(descriptor);
  return -1;
}

// What the file system asks for, as far as Linux says it (6.1): 0 if it has no direct reads, -1 if
// it does not say. tmpfs takes O_DIRECT since 6.6, but all that it has is in the page cache.
int64_t AlignmentOf(int descriptor) {
  struct statfs system;
  if (::fstatfs(descriptor, &system) != 0 || system.f_type == TMPFS_MAGIC) return 0;
#if defined(STATX_DIOALIGN)
  struct statx status;
  if (::statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) != 0) {
    return std::max<int64_t>(status.stx_dio_mem_align, status.stx_dio_offset_align);
  }
#endif
  return -1;
}

void PrepareBuffers(void* memory, size_t bytes) {
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  ::madvise(memory, bytes, MADV_DONTFORK);
}

#else

int OpenDirect(const std::string&) { return -1; }
int64_t AlignmentOf(int) { return 0; }
void PrepareBuffers(void*, size_t) {}

#endif

bool CanRead(int descriptor, int64_t size) {
  alignas(DirectFile::kMostAlignment) std::byte block[DirectFile::kMostAlignment];
  return ::pread(descriptor, block, sizeof block, 0) == std::min<int64_t>(size, sizeof block);
}

}  // namespace

std::shared_ptr<const DirectFile> DirectFile::Open(const MappedFile& file) {
  const int descriptor = OpenDirect(file.place());
  if (descriptor < 0) return nullptr;
  const std::shared_ptr<DirectFile> opened(new DirectFile(descriptor));
  try {
    if (StampOf(descriptor, file.path()) != file.stamp()) return nullptr;
  } catch (const OsError&) {
    return nullptr;
  }
  int64_t alignment = AlignmentOf(descriptor);
  if (alignment < 0) alignment = CanRead(descriptor, file.size()) ? kMostAlignment : 0;
  if (alignment <= 0 || alignment > kMostAlignment) return nullptr;
  opened->alignment_ = alignment;
  return opened;
}

DirectFile::~DirectFile() { ::close(descriptor_); }

DirectBuffers::DirectBuffers(size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  PrepareBuffers(memory, bytes);
  bytes_ = {static_cast<std::byte*>(memory), bytes};
}

DirectBuffers::~DirectBuffers() { ::munmap(bytes_.data(), bytes_.size()); }

}  // namespace npyfast
