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

// .npy files that hold one row each. There may be millions, so a file is opened for each read of
// its row. All must have the dtype and shape of the first one.
//
// Immutable and thread-safe.
class RowFiles {
 public:
  // Reads the header of the first file only. REQUIRES: at least one path.
  // Throws OsError; FormatError naming the file; ObjectDtypeError.
  explicit RowFiles(std::span<const std::string> paths);

  int64_t rows() const { return static_cast<int64_t>(ends_.size()); }
  // The path of a row's file: absolute, because the working directory may change before the read.
  std::string path(int64_t row) const;
  const Dtype& dtype() const { return header_.dtype; }
  const std::vector<int64_t>& row_shape() const { return header_.shape; }
  // Bytes of one row.
  int64_t row_bytes() const { return header_.data_bytes(); }

  // The state of the first file when its header was read.
  const FileStamp& first_stamp() const { return first_stamp_; }

  // Where the bytes of a file come through. kOwnMemory leaves the page cache as it is, if the file
  // system can read past it and the row is not too large.
  enum class Through { kPageCache, kOwnMemory };

  // Reads a row into `out` as it is stored; returns whether that is in Fortran order.
  // REQUIRES: 0 <= row < rows(); out has row_bytes() bytes.
  // Throws OsError, with ESTALE if the file keeps changing; FormatError naming the file;
  // ObjectDtypeError; Error naming this file and the first one if they differ.
  bool Read(int64_t row, std::byte* out, Through through = Through::kPageCache) const;

 private:
  bool ReadOnce(const OpenFile& file, std::byte* out, Through through) const;
  // Reads a row whose file begins with the usual header, past the page cache; returns whether it
  // is such a file and could be read.
  bool ReadDirectly(const OpenFile& file, std::byte* out) const;

  std::string paths_;          // concatenated: separate strings would take twice the memory
  std::vector<int64_t> ends_;  // of each path in paths_
  Header header_;              // of the first file
  std::string header_bytes_;   // its bytes: nearly all files begin with them
  FileStamp first_stamp_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_ROW_FILES_H_
