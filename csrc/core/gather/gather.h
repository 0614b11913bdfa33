#ifndef NPYFAST_CORE_GATHER_GATHER_H_
#define NPYFAST_CORE_GATHER_GATHER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/gather/cast.h"
#include "core/gather/column_layout.h"
#include "core/gather/copy.h"
#include "core/os/buffer_pool.h"
#include "core/source/array.h"

namespace npyfast {

// Writes the row numbers of `rows` to `out`, with negative ones counted from the end.
// REQUIRES: out.size() == rows.size(). Throws IndexError naming the first that is out of range.
void ResolveRows(std::span<const int64_t> rows, int64_t array_rows, std::span<int64_t> out);

// Copies rows of one array into dense columns of native byte order, cast on the way if asked to.
// Immutable and thread-safe.
class Gather {
 public:
  // What one more thread must have to copy: waking it costs some 5 to 20 us, and one thread copies
  // this much in about 30.
  static constexpr int64_t kBytesPerThread = 256 << 10;

  // REQUIRES: a cast is one from the array's dtype and rows of its size, and fields are kTogether
  // or there are none.
  Gather(std::shared_ptr<const Array> array, Fields fields,
         std::shared_ptr<const Cast> cast = nullptr);

  const std::shared_ptr<const Array>& array() const { return array_; }
  size_t columns() const { return row_bytes_.size(); }
  // Bytes that one row takes in the output of a column.
  int64_t row_bytes(size_t column) const { return row_bytes_[column]; }
  // The same for all columns, or BufferPool::kTooManyBytes where they have more.
  int64_t row_bytes() const { return total_row_bytes_; }

  // Copies row rows[i] into slot i of each column's output, for every i.
  //
  // REQUIRES: 0 <= rows[i] < array()->rows(); out has columns() pointers, to rows.size() *
  // row_bytes(column) bytes each, which overlap no source. Touches no Python object.
  //
  // Throws FormatError where a file was truncated meanwhile, OsError where it can't be read, or
  // Error where mapped memory can't; then what has been written is of no use.
  void Rows(std::span<const int64_t> rows, std::byte* const* out) const;

  // The same for a part of a larger batch, whose rows StoresFor() was asked for.
  void Rows(std::span<const int64_t> rows, std::byte* const* out, Stores stores) const;
  Stores StoresFor(int64_t rows) const;

  // The same by up to `threads` threads, the caller one of them. A batch that one thread copies
  // sooner than another wakes up stays with the caller.
  void RowsParallel(std::span<const int64_t> rows, std::byte* const* out, int threads) const;

 private:
  class Copier;
  class TailFiles;

  void AddLayout(std::span<const int64_t> strides);
  // Whether a row comes out as one run of the bytes from its beginning on.
  bool IsOneRun(size_t layout) const;
  void RowsInMemory(std::span<const int64_t> rows, Copier* copier) const;
  void RowsOfFiles(std::span<const int64_t> rows, Copier* copier) const;

  std::shared_ptr<const Array> array_;
  std::shared_ptr<const Cast> cast_;
  Fields fields_;
  std::vector<std::vector<Column>> layouts_;  // of files of one row: in C's, in Fortran's order
  std::vector<size_t> layout_of_file_;
  std::vector<int64_t> row_bytes_;
  int64_t total_row_bytes_ = 0;
};

// While it lives, Gather::Rows() called by its thread leaves the looks at files whose ends it has
// copied to Check(): one for many small batches, before any of them is handed out.
class PostponedChecks {
 public:
  PostponedChecks();
  ~PostponedChecks();
  PostponedChecks(const PostponedChecks&) = delete;
  PostponedChecks& operator=(const PostponedChecks&) = delete;

  // Throws what MappedFile::CheckUnchanged() throws. REQUIRES: the arrays are still there.
  void Check();

 private:
  friend class Gather;

  PostponedChecks* const outer_;
  std::vector<const MappedFile*> files_;
};

// How many threads should copy rows of these where nobody says: as many as there are CPUs that the
// process may use; more where rows are files, which are waited for.
int UsualThreads(std::span<const std::shared_ptr<const Gather>> leaves);

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_GATHER_H_
