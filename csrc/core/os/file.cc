#include "core/os/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "core/base/errors.h"
#include "core/base/text.h"
#include "core/os/file_hints.h"
#include "core/os/mutex.h"
#include "core/os/page_size.h"
#include "core/os/thread_pool.h"

namespace npyfast {
namespace {

// Files that are waited for at once, and how many a thread must have for it to be woken up.
constexpr size_t kThreads = 16;
constexpr size_t kFilesPerThread = 4;

FileStamp MakeStamp(const struct stat& status) {
  // Without a sign: some filesystems have times that a sum of 63 bits does not hold.
  const auto nanoseconds = [](const timespec& time) {
    constexpr uint64_t kSecond = 1'000'000'000;
    return static_cast<int64_t>(static_cast<uint64_t>(time.tv_sec) * kSecond +
                                static_cast<uint64_t>(time.tv_nsec));
  };
#if defined(__APPLE__)
  const timespec& modified = status.st_mtimespec;
  const timespec& changed = status.st_ctimespec;
#else
  const timespec& modified = status.st_mtim;
  const timespec& changed = status.st_ctim;
#endif
  return {static_cast<uint64_t>(status.st_dev), status.st_ino, status.st_size,
          nanoseconds(modified), nanoseconds(changed)};
}

// A descriptor, or -1 with errno.
int Open(const std::string& path, int flags) {
  int descriptor;
  do {
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

// Leaves errno as it is.
bool IsRegular(const std::string& path) {
  const int code = errno;
  struct stat status;
  const bool regular = ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
  errno = code;
  return regular;
}

// What madvise() takes; none if this system has nothing like it.
std::optional<int> SystemAdvice(MappedFile::Advice advice) {
#if defined(__linux__) && !defined(MADV_POPULATE_READ)
  constexpr int MADV_POPULATE_READ = 22;  // since Linux 5.14; libraries of C are older
#endif
  switch (advice) {
    case MappedFile::Advice::kNormal:
      return MADV_NORMAL;
    case MappedFile::Advice::kRandom:
      return MADV_RANDOM;
    case MappedFile::Advice::kWillNeed:
      return MADV_WILLNEED;
    case MappedFile::Advice::kPopulate:
#if defined(__linux__)
      return MADV_POPULATE_READ;
#else
      return std::nullopt;
#endif
    case MappedFile::Advice::kDontNeed:
      return MADV_DONTNEED;
  }
  return std::nullopt;
}

// The kernel's limit on the mappings of a process; 0 if it is not known.
int64_t MaxMappings() {
  int64_t limit = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> limit;
  return limit;
}

// Whether this process has about as many mappings as it may have.
bool MappingsAreUsedUp(int64_t limit) {
  std::ifstream maps("/proc/self/maps");
  int64_t count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  // The heap has some of its own, that come and go.
  return limit > 0 && count > limit - 64;
}

}  // namespace

FileStamp StampOf(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) throw OsError(errno, path);
  return MakeStamp(status);
}

FileStamp StampOf(int descriptor, const std::string& path) {
  struct stat status;
  if (::fstat(descriptor, &status) != 0) throw OsError(errno, path);
  return MakeStamp(status);
}

std::string AbsolutePath(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::error_code code;
  const std::filesystem::path folder = std::filesystem::current_path(code);
  return code ? path : (folder / path).string();  // without a folder, there is no such path
}

void ForEachFile(size_t count, const std::function<void(size_t)>& body) {
  const size_t threads = std::clamp<size_t>(count / kFilesPerThread, 1, kThreads);
  std::atomic<size_t> next{0};
  std::atomic<size_t> first_bad{count};
  Mutex mutex;
  std::exception_ptr error;  // of first_bad
  ThreadPool::Shared().ParallelFor(static_cast<int>(threads), [&](int) {
    // In order: what comes before the first bad one has been begun when nothing more is.
    for (size_t i; (i = next.fetch_add(1)) < first_bad.load();) {
      try {
        body(i);
      } catch (...) {
        const MutexLock lock(mutex);
        if (i > first_bad.load()) continue;
        first_bad = i;
        error = std::current_exception();
      }
    }
  });
  if (error) std::rethrow_exception(std::move(error));
}

OpenFile::OpenFile(const std::string& path) : path_(path) {
  // Opening a FIFO must fail below rather than wait for its writer.
  descriptor_ = Open(path, O_NONBLOCK);
  // A regular file is waited for: another process, as a file server, has a lease on it, and has
  // just been told to give it up.
  if (descriptor_ < 0 && errno == EWOULDBLOCK && IsRegular(path)) descriptor_ = Open(path, 0);
  if (descriptor_ < 0) throw OsError(errno, path);
  struct stat status;
  int code = ::fstat(descriptor_, &status) == 0 ? 0 : errno;
  if (code == 0 && S_ISDIR(status.st_mode)) code = EISDIR;
  if (code == 0 && !S_ISREG(status.st_mode)) code = EINVAL;
  if (code != 0) {
    ::close(descriptor_);
    throw OsError(code, path);
  }
  stamp_ = MakeStamp(status);
}

OpenFile::~OpenFile() { ::close(descriptor_); }

bool OpenFile::IsUnchanged() const { return StampOf(descriptor_, path_) == stamp_; }

std::string OpenFile::Start(size_t bytes) const {
  // Otherwise the kernel takes the first bytes for the beginning of them all, and reads ahead.
  HintRandom(descriptor_);
  std::string start(bytes, '\0');
  start.resize(Read(std::as_writable_bytes(std::span(start)), 0));
  return start;
}

size_t OpenFile::Read(std::span<std::byte> out, int64_t offset) const {
  size_t held = 0;
  while (held < out.size()) {
    const ssize_t got = ::pread(descriptor_, out.data() + held, out.size() - held,
                                static_cast<off_t>(offset) + static_cast<off_t>(held));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw OsError(errno, path_);
    if (got == 0) break;
    held += static_cast<size_t>(got);
  }
  return held;
}

size_t OpenFile::Read(std::span<std::byte> first, std::span<std::byte> second) const {
  const std::array<iovec, 2> parts = {
      {{first.data(), first.size()}, {second.data(), second.size()}}};
  ssize_t got;
  do {
    got = ::preadv(descriptor_, parts.data(), parts.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw OsError(errno, path_);
  auto held = static_cast<size_t>(got);
  // The rest, if a signal or a network came in between.
  if (held < first.size()) held += Read(first.subspan(held), got);
  if (held >= first.size())
    held += Read(second.subspan(held - first.size()), static_cast<int64_t>(held));
  return held;
}

const std::byte* OpenFile::Map() const {
  if (stamp_.size == 0) return nullptr;  // mmap refuses a length of zero
  void* data =
      ::mmap(nullptr, static_cast<size_t>(stamp_.size), PROT_READ, MAP_SHARED, descriptor_, 0);
  if (data != MAP_FAILED) return static_cast<const std::byte*>(data);
  const int code = errno;
  const int64_t limit = code == ENOMEM ? MaxMappings() : 0;
  if (!MappingsAreUsedUp(limit)) throw OsError(code, path_);
  throw OsError(code, path_,
                "too many files: this process has the " + Grouped(limit) +
                    " mappings that vm.max_map_count allows; raise it (sysctl vm.max_map_count), "
                    "or join the files into fewer, larger ones");
}

MappedFile::MappedFile(const OpenFile& file)
    : data_(file.Map()),
      path_(file.path()),
      place_(AbsolutePath(file.path())),
      stamp_(file.stamp()) {}

MappedFile::MappedFile(const std::string& path, const FileStamp& stamp)
    : path_(path), place_(AbsolutePath(path)), stamp_(stamp) {}

MappedFile::~MappedFile() {
  if (const std::byte* data = data_.load(std::memory_order_relaxed); data != nullptr)
    ::munmap(const_cast<std::byte*>(data), static_cast<size_t>(size()));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(other.data_.exchange(nullptr, std::memory_order_relaxed)),
      path_(std::move(other.path_)),
      place_(std::move(other.place_)),
      stamp_(std::exchange(other.stamp_, {})) {
  changed_size_ = other.changed_size_.exchange(-1);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  data_.store(
      other.data_.exchange(data_.load(std::memory_order_relaxed), std::memory_order_relaxed),
      std::memory_order_relaxed);
  std::swap(path_, other.path_);
  std::swap(place_, other.place_);
  std::swap(stamp_, other.stamp_);
  changed_size_ = other.changed_size_.exchange(changed_size_);
  return *this;
}

const std::byte* MappedFile::MapNow() const {
  if (size() == 0) return nullptr;
  const OpenFile file(place_);
  if (file.stamp() != stamp_) {
    throw OsError(ESTALE, path_,
                  "was changed or replaced after it was opened; make the dataset again");
  }
  const std::byte* mapped = file.Map();
  const std::byte* found = nullptr;
  if (data_.compare_exchange_strong(found, mapped, std::memory_order_acq_rel)) return mapped;
  // Another thread was first.
  ::munmap(const_cast<std::byte*>(mapped), static_cast<size_t>(size()));
  return found;
}

bool MappedFile::Holds(const void* address) const {
  const std::byte* data = data_.load(std::memory_order_acquire);
  const auto first = reinterpret_cast<uintptr_t>(data);
  const auto at = reinterpret_cast<uintptr_t>(address);
  return data != nullptr && at >= first && at - first < static_cast<uintptr_t>(size());
}

void MappedFile::CheckUnchanged() const {
  const int64_t changed_size = changed_size_.load(std::memory_order_relaxed);
  if (changed_size >= 0) ThrowChanged(changed_size);
  struct stat status;
  if (::stat(place_.c_str(), &status) != 0) return;  // removed, but whoever has it mapped keeps it
  const FileStamp now = MakeStamp(status);
  if (!now.IsSameFile(stamp_) || now == stamp_) return;
  // Another file may take its place later, which is no reason to trust the mapping again.
  changed_size_.store(now.size, std::memory_order_relaxed);
  ThrowChanged(now.size);
}

void MappedFile::ThrowChanged(int64_t size_now) const {
  if (size_now >= stamp_.size) {
    throw OsError(ESTALE, path_, "was changed after it was opened; make the dataset again");
  }
  throw FormatError(path_ + ": has " + Grouped(size_now) + " bytes now, " + Grouped(stamp_.size) +
                    " when it was opened: it was truncated while it was read; copy it again");
}

bool MappedFile::Advise(int64_t offset, int64_t bytes, Advice advice) const {
  const std::byte* data = this->data();
  const std::optional<int> system_advice = SystemAdvice(advice);
  if (data == nullptr || !system_advice) return false;
  const int64_t page = PageBytes();
  const int64_t first = offset / page * page;
  return ::madvise(const_cast<std::byte*>(data) + first,
                   static_cast<size_t>(offset + bytes - first), *system_advice) == 0;
}

}  // namespace npyfast
