#ifndef NPYFAST_CORE_SOURCE_ARRAY_H_
#define NPYFAST_CORE_SOURCE_ARRAY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/npy/dtype.h"
#include "core/npy/header.h"
#include "core/os/file.h"
#include "core/source/residency.h"
#include "core/source/row_files.h"
#include "core/source/row_view.h"

namespace npyfast {

// A file of an array: a .npy file, or a file of any format with a header that describes its data.
struct Extent {
  std::string path;
  std::optional<Header> header = std::nullopt;
  std::optional<FileStamp> stamp = std::nullopt;  // of the file when the header was found
};

// One array: the rows of its files, concatenated along axis 0, or rows in memory.
//
// Or of many files that hold one row each, which have neither FileRows nor mappings (row_files.h).
//
// Immutable and thread-safe. Owns its mappings, and its share of memory.
class Array {
 public:
  // Reads the headers of .npy files, many of them at once. Few files are mapped now, so that the
  // array keeps files that are removed or replaced later; many are mapped when they are first read,
  // and so are all with kWhenRead.
  // REQUIRES: at least one path.
  // Throws for the first bad file in the order of the paths: OsError, with ESTALE if the file is
  // not in the state of the extent's stamp; FormatError naming the file; ObjectDtypeError; Error
  // naming two files that differ in dtype or row shape,
  // or one in which a window does not fit.
  static std::shared_ptr<const Array> Open(std::span<const std::string> paths);
  enum class Map { kNow, kWhenRead };
  static std::shared_ptr<const Array> Open(std::span<const Extent> extents, Map map = Map::kNow,
                                           const RowView& view = {});

  // Opens .npy files that hold one row each. Throws what RowFiles() throws.
  static std::shared_ptr<const Array> OpenRowFiles(std::span<const std::string> paths);

  // Shares memory: dimension i has shape[i] items, strides[i] bytes apart. The deleter of `data`
  // may run on any thread. REQUIRES: shape.size() >= 1. Throws ObjectDtypeError, and Error if a
  // window does not fit.
  static std::shared_ptr<const Array> View(std::shared_ptr<const std::byte> data,
                                           const Dtype& dtype, std::span<const int64_t> shape,
                                           std::span<const int64_t> strides,
                                           const RowView& view = {});
  // The same for memory that outlives the array.
  static std::shared_ptr<const Array> View(const std::byte* data, const Dtype& dtype,
                                           std::span<const int64_t> shape,
                                           std::span<const int64_t> strides) {
    return View(std::shared_ptr<const std::byte>(std::shared_ptr<void>(), data), dtype, shape,
                strides);
  }

  int64_t rows() const { return rows_; }
  const Dtype& dtype() const { return dtype_; }
  const std::vector<int64_t>& row_shape() const { return row_shape_; }
  // One for each file that has rows, or for the memory. A file's index below is its index here.
  const std::vector<FileRows>& file_rows() const { return file_rows_; }

  // The dtype and shape of a row as text: "float32 (32, 32, 3)".
  std::string row_type() const;

  // The files, if each holds one row; else null.
  const RowFiles* row_files() const { return row_files_.get(); }

  // The state of each file when it was opened, in the order of Open(), including files without
  // rows. Empty for memory, and for files of one row, which are checked at each read.
  const std::vector<FileStamp>& stamps() const { return stamps_; }

  // Bytes of all files together; 0 for memory, and for files of one row.
  int64_t file_bytes() const { return file_bytes_; }

  // Whether the bytes of each row are contiguous, as in C order, and rows are equally far apart in
  // all files. They may overlap.
  bool has_dense_rows() const { return dense_rows_; }
  // Bytes from one row to the next in a file, and bytes of a row. Of windows the former may be less
  // or more than the latter. REQUIRES: the array was opened from files and has dense rows.
  int64_t row_stride() const { return row_stride_; }
  int64_t row_bytes() const { return file_rows_.empty() ? 0 : file_rows_[0].row_bytes; }

  // A file that has rows. REQUIRES: the array was opened from files; file < file_rows().size().
  const MappedFile& file(size_t file) const { return files_[file]; }

  // Row 0 of a file. Throws what MappedFile::data() throws. REQUIRES: file < file_rows().size().
  const std::byte* data(size_t file) const {
    const std::byte* begin = files_.empty() ? memory_.get() : files_[file].data();
    return begin + file_rows_[file].data_offset;
  }

  // The last byte of a file. Reading it faults once the file has been truncated before its last
  // page. REQUIRES: as file(); data() of the file has been called.
  const std::byte* last_byte(size_t file) const {
    return files_[file].data() + files_[file].size() - 1;
  }

  // Whether readers read last_byte() after each copy. The last pages of more files than this would
  // not stay in memory where the data is larger than that.
  static constexpr size_t kProbedFiles = 64;
  bool is_probed() const { return file_bytes() > 0 && file_rows().size() <= kProbedFiles; }

  // Throws if a file of the array was changed after it was opened, as MappedFile::CheckUnchanged()
  // says, naming the first such file. From then on it always throws. Does nothing for memory, nor
  // for files of one row, which are checked at each read.
  //
  // Readers call it before they hand out the first row of an iteration, and again whenever
  // CheckIsDue(). All readers of the array share that: a check is due every 100 ms, or less often
  // if checks would take more than 1 % of the time.
  //
  // Thread-safe; holds no lock. Makes a system call for each file, which may wait for a network.
  // Touches no Python object: call with the GIL released.
  void CheckFiles() const;
  // Costs a load and a read of a coarse clock. Always true once a check has failed.
  bool CheckIsDue() const { return CheckIsDue(CheckClock()); }
  // The same for several arrays at once.
  bool CheckIsDue(int64_t now) const { return now >= check_due_.load(std::memory_order_relaxed); }
  static int64_t CheckClock();
  // CheckFiles() for only those files that hold these rows. Call it after copying them.
  // REQUIRES: 0 <= row < rows() for each of them.
  void CheckFilesOf(std::span<const int64_t> rows) const;

  // Throws the error of a row that could not be read: the file mapped at the address was truncated,
  // or its disk has failed. The address may be null.
  [[noreturn]] void ThrowUnreadable(const void* address) const;

  // How much of the files has been read ahead, for the next reader.
  Residency& residency() const { return *residency_; }

  // The file that holds a row. REQUIRES: 0 <= row < rows().
  size_t FileOf(int64_t row) const;

 private:
  Array() = default;
  // Adds a file that has rows, or the memory: of its `rows`, those of a slice among all, of which
  // `before` were in other files. Returns false, and adds nothing, if there are none.
  bool AddRows(FileRows rows, const RowView& slice, int64_t before);
  void FindStride();

  int64_t rows_ = 0;
  Dtype dtype_;
  std::vector<int64_t> row_shape_;
  std::vector<FileRows> file_rows_;  // none of them empty
  std::vector<int64_t> first_rows_;  // file_rows_[i].first_row again, contiguous for the search
  std::vector<MappedFile> files_;    // of file_rows_; none for memory
  std::vector<MappedFile> empty_;    // the other files, which have no rows
  mutable std::atomic<int64_t> check_due_{INT64_MAX};  // by CheckClock(); never for memory
  std::shared_ptr<const std::byte> memory_;
  std::vector<FileStamp> stamps_;
  int64_t file_bytes_ = 0;
  bool dense_rows_ = false;
  int64_t row_stride_ = 0;
  std::unique_ptr<const RowFiles> row_files_;
  std::unique_ptr<Residency> residency_ = std::make_unique<Residency>();
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_ARRAY_H_
