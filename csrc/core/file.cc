#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/errors.h"

namespace npyfast {
namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) {
    do {
      // O_NONBLOCK: opening a FIFO must fail below rather than wait for its writer.
      fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) throw OsError(errno, path);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

 private:
  int fd_;
};

FileStamp MakeStamp(const struct stat& status) {
  // Without a sign: some filesystems have times that a sum of 63 bits does not hold.
  constexpr uint64_t kSecond = 1'000'000'000;
  const uint64_t modified = static_cast<uint64_t>(status.st_mtim.tv_sec) * kSecond +
                            static_cast<uint64_t>(status.st_mtim.tv_nsec);
  return {status.st_ino, status.st_size, static_cast<int64_t>(modified)};
}

}  // namespace

FileStamp StampOf(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) throw OsError(errno, path);
  return MakeStamp(status);
}

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(path);
  struct stat status;
  if (::fstat(file.get(), &status) != 0) throw OsError(errno, path);
  if (S_ISDIR(status.st_mode)) throw OsError(EISDIR, path);
  if (!S_ISREG(status.st_mode)) throw OsError(EINVAL, path);
  stamp_ = MakeStamp(status);
  if (size() == 0) return;  // mmap refuses a length of zero
  void* data = ::mmap(nullptr, static_cast<size_t>(size()), PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) throw OsError(errno, path);
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size()));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), stamp_(std::exchange(other.stamp_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(stamp_, other.stamp_);
  return *this;
}

void MappedFile::Advise(int64_t offset, int64_t bytes, int advice) const {
  if (data_ == nullptr) return;
  static const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t first = offset / page * page;
  ::madvise(const_cast<std::byte*>(data_) + first, static_cast<size_t>(offset + bytes - first),
            advice);
}

}  // namespace npyfast
