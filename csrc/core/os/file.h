#ifndef NPYFAST_CORE_OS_FILE_H_
#define NPYFAST_CORE_OS_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace npyfast {

// The state of a file: tells whether a path still leads to the same, unchanged one.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modified_ns = 0;  // since 1970
  int64_t changed_ns = 0;   // of its contents or of anything else: utime() can't put this back

  bool operator==(const FileStamp&) const = default;
  bool IsSameFile(const FileStamp& other) const {
    return device == other.device && inode == other.inode;
  }
};

// The stamp of the file that a path leads to now. Throws OsError.
FileStamp StampOf(const std::string& path);
// The stamp of an open file now. Throws OsError, which names `path`.
FileStamp StampOf(int descriptor, const std::string& path);

// A path that leads to the same file whatever directory this process changes to.
std::string AbsolutePath(const std::string& path);

// Calls body(i) for every i below `count`, by several threads at once where there are many:
// what takes long with a file is to wait for a disk or a network. Throws what body threw for the
// lowest i; by then body may not have been called for higher ones.
void ForEachFile(size_t count, const std::function<void(size_t)>& body);

// A regular file, open for reading.
class OpenFile {
 public:
  // Throws OsError: no such file, no permission, a directory (EISDIR), not a regular file (EINVAL).
  explicit OpenFile(const std::string& path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const std::string& path() const { return path_; }
  // As it was when the file was opened.
  const FileStamp& stamp() const { return stamp_; }

  // The first `bytes` bytes, or all of a shorter file; little else is read from the disk. Throws
  // OsError.
  std::string Start(size_t bytes) const;

  // Reads from `offset` on; returns how many bytes there were, fewer only at the file's end. Throws
  // OsError.
  size_t Read(std::span<std::byte> out, int64_t offset) const;
  // Reads the beginning of the file into two places, one after the other, by one call of the system
  // if it can.
  size_t Read(std::span<std::byte> first, std::span<std::byte> second) const;

  // Reads the beginning of the file past the page cache; returns how many bytes there were, and 0
  // where that is not possible. REQUIRES: `out` begins at a multiple of
  // DirectFile::kMostAlignment, and is so many whole blocks. Throws nothing.
  size_t ReadDirectly(std::span<std::byte> out) const;

  // Whether the file is still in the state that it had when it was opened. Throws OsError.
  bool IsUnchanged() const;

  // The whole file, mapped read-only until munmap(); null if it is empty. Throws OsError.
  const std::byte* Map() const;

 private:
  std::string path_;
  int descriptor_;
  FileStamp stamp_;
};

// A regular file mapped read-only, as large as it was when it was opened.
//
// Holds no file descriptor: the mapping alone keeps the file alive. Movable. Reading the mapping is
// thread-safe; a file that is truncated meanwhile raises SIGBUS at whoever reads beyond its new
// end (see guard.h), and gives zeros up to the end of the page that holds it.
class MappedFile {
 public:
  // Maps it now. Throws what OpenFile() throws.
  explicit MappedFile(const std::string& path) : MappedFile(OpenFile(path)) {}
  explicit MappedFile(const OpenFile& file);
  // Maps the file that had this stamp when its bytes are first asked for.
  MappedFile(const std::string& path, const FileStamp& stamp);
  ~MappedFile();

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // The file's first byte; null for an empty file. Where the file is yet to be mapped, throws
  // OsError: ESTALE if it is not the same any more, ENOMEM if no more mappings are allowed.
  const std::byte* data() const {
    const std::byte* data = data_.load(std::memory_order_acquire);
    return data != nullptr ? data : MapNow();
  }
  int64_t size() const { return stamp_.size; }
  // As it was given, for people; and where it is found again.
  const std::string& path() const { return path_; }
  const std::string& place() const { return place_; }
  // As it was when the file was opened.
  const FileStamp& stamp() const { return stamp_; }

  // Whether the file has been mapped, and the mapping holds this address.
  bool Holds(const void* address) const;

  // Throws if the file was changed after it was opened, in whatever way: FormatError if it is
  // shorter now, else OsError (ESTALE). Once it has thrown, it always throws. A path that leads to
  // another file by now, or to none, is no change of this one. One system call.
  void CheckUnchanged() const;

  // What the system is told about pages of the mapping.
  enum class Advice {
    kNormal,    // they are read in order: read ahead of them
    kRandom,    // they are read in random order: read nothing but them
    kWillNeed,  // start reading them
    kPopulate,  // read them now, wait for it, and map them (since Linux 5.14)
    kDontNeed,  // unmap them; they stay in the page cache
  };

  // Gives advice about the pages that hold a range of bytes; returns whether the system has taken
  // it. Throws what data() throws.
  bool Advise(int64_t offset, int64_t bytes, Advice advice) const;

 private:
  const std::byte* MapNow() const;
  [[noreturn]] void ThrowChanged(int64_t size_now) const;

  mutable std::atomic<const std::byte*> data_{nullptr};
  mutable std::atomic<int64_t> changed_size_{-1};  // when it was found to be changed; -1: it is not
  std::string path_;
  std::string place_;
  FileStamp stamp_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_FILE_H_
