#ifndef NPYFAST_CORE_FILE_H_
#define NPYFAST_CORE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace npyfast {

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
  int64_t size() const { return size_; }

  // madvise() for the pages that hold a range of bytes. Advice: a refusal is of no consequence.
  void Advise(int64_t offset, int64_t bytes, int advice) const;

 private:
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_FILE_H_
