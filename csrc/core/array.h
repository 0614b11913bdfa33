#ifndef NPYFAST_CORE_ARRAY_H_
#define NPYFAST_CORE_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/file.h"

namespace npyfast {

// Rows that lie together: one file of an array, or an array in memory.
struct Shard {
  const std::byte* data = nullptr;  // row 0 of this shard
  int64_t first_row = 0;            // its number in the whole array
  int64_t rows = 0;
  int64_t row_stride = 0;        // bytes from one row to the next, may be negative in memory
  std::vector<int64_t> strides;  // bytes, of the dimensions behind the first
};

// One array, made of shards that are concatenated along axis 0.
//
// Immutable and thread-safe. Keeps its mappings; memory that it only views must outlive it.
class Array {
 public:
  // Maps .npy files. REQUIRES: at least one path.
  // Throws OsError; FormatError naming the file; ObjectDtypeError; Error where two shards differ in
  // dtype or row shape, naming both.
  static std::shared_ptr<const Array> Open(std::span<const std::string> paths);

  // Views memory: dimension i has shape[i] items, strides[i] bytes apart. REQUIRES: shape.size()
  // >= 1. Throws ObjectDtypeError.
  static std::shared_ptr<const Array> View(const std::byte* data, const Dtype& dtype,
                                           std::span<const int64_t> shape,
                                           std::span<const int64_t> strides);

  int64_t rows() const { return rows_; }
  const Dtype& dtype() const { return dtype_; }
  const std::vector<int64_t>& row_shape() const { return row_shape_; }
  const std::vector<Shard>& shards() const { return shards_; }

  // What a row is, in words: its dtype and shape, as "float32 (32, 32, 3)".
  std::string row_type() const;

  // The files in the order of Open(), those without rows too, as they were then; none for memory.
  const std::vector<FileStamp>& stamps() const { return stamps_; }

  // Bytes of all shards' files together; 0 for memory.
  int64_t file_bytes() const { return file_bytes_; }

  // Whether each row is one run of bytes, as in C order.
  bool has_dense_rows() const { return dense_rows_; }

  // Says that single rows will be read, in an order that the kernel cannot foresee: it then reads
  // the pages that are touched and no more. Results never change.
  void ExpectSingleRows() const;
  // Starts reading rows that will be copied soon, all of them at once. REQUIRES: has_dense_rows();
  // 0 <= row < rows() for each. A hint: whatever fails is left to the copy.
  void StartReading(std::span<const int64_t> rows) const;

  // The shard that holds a row. REQUIRES: 0 <= row < rows().
  size_t ShardOf(int64_t row) const;

 private:
  Array() = default;

  int64_t rows_ = 0;
  Dtype dtype_;
  std::vector<int64_t> row_shape_;
  std::vector<Shard> shards_;        // none of them empty
  std::vector<int64_t> first_rows_;  // shards_[i].first_row again, close together for the search
  std::vector<MappedFile> files_;    // of shards_
  std::vector<FileStamp> stamps_;
  int64_t file_bytes_ = 0;
  bool dense_rows_ = false;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_ARRAY_H_
