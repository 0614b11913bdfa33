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
#include "core/gather/row_file_cache.h"
#include "core/os/buffer_pool.h"
#include "core/source/array.h"

namespace npyfast {

// Writes row numbers to `out`, with negative ones counted from the end.
// REQUIRES: out.size() == rows.size(). Throws IndexError naming the first that is out of range.
void ResolveRows(std::span<const int64_t> rows, int64_t array_rows, std::span<int64_t> out);

// Copies rows of one array into dense columns of native byte order, and casts them if asked to.
// Immutable and thread-safe.
class Gather {
 public:
  // The least that one more thread is worth: waking it costs 5 to 20 us, and one thread copies this
  // much in about 30.
  static constexpr int64_t kBytesPerThread = 256 << 10;

  // REQUIRES: a cast is from the array's dtype and row shape, and fields are kTogether or there are
  // none.
  Gather(std::shared_ptr<const Array> array, Fields fields,
         std::shared_ptr<const Cast> cast = nullptr);

  const std::shared_ptr<const Array>& array() const { return array_; }
  size_t columns() const { return row_bytes_.size(); }
  // Bytes of one row in the output of a column.
  int64_t row_bytes(size_t column) const { return row_bytes_[column]; }
  // The same of all columns together, but at most BufferPool::kTooManyBytes.
  int64_t row_bytes() const { return total_row_bytes_; }

  // Copies row rows[i] into slot i of each column's output, for every i.
  //
  // REQUIRES: 0 <= rows[i] < array()->rows(); out has columns() pointers, to rows.size() *
  // row_bytes(column) bytes each, which overlap no source. Touches no Python object.
  //
  // Throws FormatError if a file was truncated meanwhile, OsError if it cannot be read, Error if
  // mapped memory cannot. The output is then unspecified.
  void Rows(std::span<const int64_t> rows, std::byte* const* out) const;

  // The same for a part of a larger batch, with the StoresFor() of that batch. Rows that were read
  // ahead are taken from `addresses`, if there are any: rows.size() of them, null for those that
  // were not. REQUIRES: what lies there is a row, dense if the array has dense rows; else the
  // RowImage of one.
  void Rows(std::span<const int64_t> rows, std::byte* const* out, Stores stores,
            const std::byte* const* addresses = nullptr) const;
  Stores StoresFor(int64_t rows) const;

  // The same, by the caller and up to `threads` - 1 more threads, if copying takes longer than
  // waking them.
  void RowsParallel(std::span<const int64_t> rows, std::byte* const* out, int threads) const;

  // Which rows stay in the page cache, if rows are files; else null.
  RowFileCache* row_file_cache() const { return row_file_cache_.get(); }

 private:
  class Copier;
  class TailFiles;

  // Adds the layout of rows with these strides, unless the last file has it; returns its number.
  size_t AddLayout(std::span<const int64_t> strides);
  // Whether the output of a row is the bytes of its source, from the first one on.
  bool IsContiguous(size_t layout) const;
  void RowsInMemory(std::span<const int64_t> rows, const std::byte* const* addresses,
                    Copier* copier) const;
  // Reads rows that have files of their own. Files may be in C or in Fortran order, which is known
  // only after reading one. `C` and `F` are rows of such files:
  //
  //   rows that need nothing but a copy are read into their slots, and others are moved out again:
  //
  //     rows          C0      C1      F2                C3
  //     slots       | C0    | C1    | F2 > C2         | C3
  //     scratch                       F2 (copied back in C order)
  //
  //   rows that are cast, or have fields or foreign byte order, are collected in the scratch until
  //   it is full, or the order changes:
  //
  //     rows          C0 C1           F2 F3             C4
  //     scratch     | C0 C1 > flush | F2 F3 > flush   | C4 > flush
  //     slots         0  1            2  3              4
  void RowsOfFiles(std::span<const int64_t> rows, Copier* copier) const;

  std::shared_ptr<const Array> array_;
  std::shared_ptr<const Cast> cast_;
  Fields fields_;
  std::vector<std::vector<Column>> layouts_;  // of rows that are files: in C, in Fortran order
  std::vector<size_t> layout_of_file_;
  std::vector<size_t> layout_of_image_;  // the same of rows that were read ahead
  std::vector<int64_t> row_bytes_;
  int64_t total_row_bytes_ = 0;
  std::unique_ptr<RowFileCache> row_file_cache_;  // null if rows are not files
};

// While it lives, Gather::Rows() in this thread does not check the files whose last pages it has
// copied, but leaves that to Check(): once for many small batches, before any is handed out.
class PostponedChecks {
 public:
  PostponedChecks();
  ~PostponedChecks();
  PostponedChecks(const PostponedChecks&) = delete;
  PostponedChecks& operator=(const PostponedChecks&) = delete;

  // Throws what MappedFile::CheckUnchanged() throws. REQUIRES: the arrays are still open.
  void Check();

 private:
  friend class Gather;

  PostponedChecks* const outer_;
  std::vector<const MappedFile*> files_;
};

// The default number of threads to copy rows of these arrays: that of the CPUs that the process may
// use, and more if rows are files, which take waiting.
int UsualThreads(std::span<const std::shared_ptr<const Gather>> leaves);

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_GATHER_H_
