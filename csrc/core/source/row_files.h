#ifndef NPYFAST_CORE_SOURCE_ROW_FILES_H_
#define NPYFAST_CORE_SOURCE_ROW_FILES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/npy/header.h"
#include "core/os/file.h"

namespace npyfast {

// .npy files that hold one row each, of which there may be millions: a file is opened when its row
// is read, and closed again. The first one says what all of them must hold.
//
// Immutable and thread-safe.
class RowFiles {
 public:
  // Reads the header of the first file, and nothing of the others. REQUIRES: at least one path.
  // Throws OsError; FormatError naming the file; ObjectDtypeError.
  explicit RowFiles(std::span<const std::string> paths);

  int64_t rows() const { return static_cast<int64_t>(ends_.size()); }
  // Of a row's file: absolute, as the working directory may change before it is read.
  std::string path(int64_t row) const;
  const Dtype& dtype() const { return header_.dtype; }
  const std::vector<int64_t>& row_shape() const { return header_.shape; }
  // Bytes of one row.
  int64_t row_bytes() const { return header_.data_bytes(); }

  // The first file, when its header was read.
  const FileStamp& first_stamp() const { return first_stamp_; }

  // Reads a row into `out`, as it lies in its file; returns whether that is in Fortran order.
  // REQUIRES: 0 <= row < rows(); out has row_bytes() bytes.
  // Throws OsError, with ESTALE where the file changes all the time; FormatError naming the file;
  // ObjectDtypeError; Error where the file is not like the first one, naming both.
  bool Read(int64_t row, std::byte* out) const;

 private:
  bool ReadOnce(const OpenFile& file, std::byte* out) const;

  std::string paths_;          // one behind the other: a string of its own takes twice the memory
  std::vector<int64_t> ends_;  // of each path in paths_
  Header header_;              // of the first file
  std::string header_bytes_;   // the same as it lies there: nearly all files begin with it
  FileStamp first_stamp_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_ROW_FILES_H_
