#ifndef NPYFAST_CORE_FILE_H_
#define NPYFAST_CORE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace npyfast {

// Tells whether a path still leads to the same, unchanged file.
struct FileStamp {
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modified_ns = 0;  // since 1970

  bool operator==(const FileStamp&) const = default;
};

// The stamp of the file that a path leads to now. Throws OsError.
FileStamp StampOf(const std::string& path);

// A regular file mapped read-only, as large as it was when it was opened.
//
// Holds no file descriptor: the mapping alone keeps the file alive. Movable. Reading the mapping is
// thread-safe; a file that is truncated meanwhile raises SIGBUS at whoever reads beyond its new
// end.
class MappedFile {
 public:
  // Throws OsError: no such file, no permission, a directory (EISDIR), not a regular file (EINVAL).
  explicit MappedFile(const std::string& path);
  ~MappedFile();

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // The file's first byte; null for an empty file.
  const std::byte* data() const { return data_; }
  int64_t size() const { return stamp_.size; }
  // As it was when the file was opened.
  const FileStamp& stamp() const { return stamp_; }

  // madvise() for the pages that hold a range of bytes. Advice: a refusal is of no consequence.
  void Advise(int64_t offset, int64_t bytes, int advice) const;

 private:
  const std::byte* data_ = nullptr;
  FileStamp stamp_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_FILE_H_
