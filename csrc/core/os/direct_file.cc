#include "core/os/direct_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <new>

#include "core/base/errors.h"

namespace npyfast {
namespace {

#if defined(__linux__)

size_t ReadStart(int descriptor, std::span<std::byte> out) {
  if (::fcntl(descriptor, F_SETFL, O_DIRECT) != 0) return 0;
  ssize_t got;
  do {
    got = ::pread(descriptor, out.data(), out.size(), 0);
  } while (got < 0 && errno == EINTR);
  ::fcntl(descriptor, F_SETFL, 0);
  return got < 0 ? 0 : static_cast<size_t>(got);
}

int OpenDirect(const std::string& path) {
  // Not to wait where a FIFO has taken the file's place.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
  // But reads are to wait. Some kernels would end those of io_uring with EAGAIN where they can't be
  // started at once.
  if (descriptor < 0 || ::fcntl(descriptor, F_SETFL, O_DIRECT) == 0) return descriptor;
  ::close(descriptor);
  return -1;
}

constexpr uint32_t kTmpfs = 0x01021994;
constexpr uint32_t kOverlayfs = 0x794C7630;

uint32_t FileSystemOf(int descriptor) {
  struct statfs status;
  return ::fstatfs(descriptor, &status) == 0 ? static_cast<uint32_t>(status.f_type) : kTmpfs;
}

// statx(2), of which C libraries have an older structure, or none.
struct FileStatus {
  uint32_t mask;
  std::array<uint32_t, 37> others;
  uint32_t memory_alignment;
  uint32_t offset_alignment;
  std::array<uint32_t, 24> unused;
};
static_assert(sizeof(FileStatus) == 256 && offsetof(FileStatus, memory_alignment) == 0x98);
constexpr uint32_t kDirectAlignment = 0x2000;  // since Linux 6.1

// No disk has smaller blocks.
constexpr int64_t kLeastAlignment = 512;

// Whether a read succeeds that no disk can do.
bool ReadsAnything(int descriptor) {
  char byte;
  return ::pread(descriptor, &byte, 1, 1) >= 0;
}

// What the file system asks for, as far as Linux says it: 0 if it has no direct reads, -1 if it
// does not say. tmpfs takes O_DIRECT since 6.6, but all that it has is in the page cache; overlayfs
// does not tell that it is over one.
int64_t AlignmentOf(int descriptor) {
  const uint32_t file_system = FileSystemOf(descriptor);
  if (file_system == kTmpfs) return 0;
#if defined(SYS_statx)
  FileStatus status = {};
  if (::syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, kDirectAlignment, &status) == 0 &&
      (status.mask & kDirectAlignment) != 0) {
    if (status.memory_alignment == 0 || status.offset_alignment == 0) return 0;
    return std::max<int64_t>({status.memory_alignment, status.offset_alignment, kLeastAlignment});
  }
#endif
  return file_system == kOverlayfs && ReadsAnything(descriptor) ? 0 : -1;
}

void PrepareBuffers(void* memory, size_t bytes) {
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  ::madvise(memory, bytes, MADV_DONTFORK);
}

#else

size_t ReadStart(int, std::span<std::byte>) { return 0; }
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

size_t OpenFile::ReadDirectly(std::span<std::byte> out) const {
  return ReadStart(descriptor_, out);
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
