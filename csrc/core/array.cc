#include "core/array.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/dtype_name.h"
#include "core/errors.h"
#include "core/layout.h"
#include "core/npy_file.h"

namespace npyfast {
namespace {

// More shards than this are mapped one by one, when they are first read: each mapping is one more
// thing for the kernel to keep. Fewer are mapped at once, which keeps a file that is removed or
// replaced later.
constexpr size_t kMappedWhenOpened = 256;

// What CheckSizeNowAndThen() may cost: a hundredth of one thread's time, whatever is read.
constexpr int64_t kNanosecondsPerCheck = 100'000;

std::vector<int64_t> RowShape(const Header& header) {
  return {header.shape.begin() + 1, header.shape.end()};
}

// The first row that has bytes on the last page of the file's data. REQUIRES: there are rows.
int64_t TailRow(const Header& header, int64_t row_stride) {
  static const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t rows = header.shape[0];
  if (header.data_bytes() == 0) return rows;
  const int64_t last_page = (header.data_offset + header.data_bytes() - 1) / page * page;
  // From a row's first byte to behind its last one, in Fortran order over all columns.
  const int64_t extent = header.data_bytes() - (rows - 1) * row_stride;
  const int64_t before = last_page - header.data_offset - extent;
  return before < 0 ? 0 : before / row_stride + 1;
}

}  // namespace

std::shared_ptr<const Array> Array::Open(std::span<const std::string> paths) {
  std::vector<Extent> extents;
  for (const std::string& path : paths) extents.push_back({path, std::nullopt});
  return Open(extents);
}

std::shared_ptr<const Array> Array::OpenRowFiles(std::span<const std::string> paths) {
  std::shared_ptr<Array> array(new Array);
  array->row_files_ = std::make_unique<RowFiles>(paths);
  array->dtype_ = array->row_files_->dtype();
  array->row_shape_ = array->row_files_->row_shape();
  array->rows_ = array->row_files_->rows();
  return array;
}

std::shared_ptr<const Array> Array::Open(std::span<const Extent> extents) {
  struct Found {
    Header header;
    std::optional<MappedFile> file;
  };
  std::vector<Found> found(extents.size());
  const bool map_now = extents.size() <= kMappedWhenOpened;
  const auto read = [&](size_t i) {
    const auto& [path, known] = extents[i];
    const OpenFile file(path);
    Header& header = found[i].header;
    header = known ? *known : ReadHeader(file);
    CheckData(file, header);
    if (header.shape.empty())
      throw Error(path + ": holds a 0-dimensional array, which has no rows");
    if (i > 0) {
      CheckAlike({"shards", "row shape"}, extents[0].path, found[0].header.dtype,
                 RowShape(found[0].header), path, header.dtype, RowShape(header));
    }
    if (map_now && header.shape[0] > 0) {
      found[i].file.emplace(file);
    } else {
      found[i].file.emplace(path, file.stamp());
    }
  };
  read(0);  // the others are held to it
  ForEachFile(extents.size() - 1, [&](size_t i) { read(i + 1); });

  std::shared_ptr<Array> array(new Array);
  array->dtype_ = found[0].header.dtype;
  array->row_shape_ = RowShape(found[0].header);
  array->stamps_.reserve(extents.size());
  size_t dense_shards = 0;
  for (auto& [header, file] : found) {
    array->stamps_.push_back(file->stamp());
    const int64_t rows = header.shape[0];
    if (rows == 0) continue;
    Shard shard;
    shard.first_row = array->rows_;
    shard.rows = rows;
    shard.data_offset = header.data_offset;
    const std::vector<int64_t> strides =
        DenseStrides(header.shape, header.dtype.itemsize, header.fortran_order);
    shard.row_stride = strides[0];
    shard.strides.assign(strides.begin() + 1, strides.end());
    shard.tail_row = TailRow(header, shard.row_stride);
    if (__builtin_add_overflow(array->rows_, rows, &array->rows_))
      throw Error(file->path() + ": the shards have more rows together than can be counted");
    // In Fortran order too, where a row has but one item.
    if (!header.fortran_order || header.shape.size() == 1) dense_shards += 1;
    array->file_bytes_ += file->size();
    array->first_rows_.push_back(shard.first_row);
    array->shards_.push_back(std::move(shard));
    array->files_.push_back(std::move(*file));
  }
  array->dense_rows_ = dense_shards == array->shards_.size();
  return array;
}

void Array::CheckTail(size_t shard) const {
  files_[shard].CheckSizeNowAndThen(kNanosecondsPerCheck * std::ssize(files_));
}

void Array::ThrowUnreadable(const void* address) const {
  for (const MappedFile& file : files_) {
    if (!file.Holds(address)) continue;
    file.CheckSize();
    throw OsError(EIO, file.path());
  }
  // Nobody knows which one it was.
  for (const MappedFile& file : files_) file.CheckSize();
  throw Error(
      "memory of an array can't be read or written: it is that of a mapped file, which was "
      "truncated meanwhile, or whose disk has failed");
}

std::string Array::row_type() const { return DtypeName(dtype_) + " " + ShapeText(row_shape_); }

std::shared_ptr<const Array> Array::View(const std::byte* data, const Dtype& dtype,
                                         std::span<const int64_t> shape,
                                         std::span<const int64_t> strides) {
  RefuseObjects("an array in memory", dtype);
  std::shared_ptr<Array> array(new Array);
  array->dtype_ = dtype;
  array->row_shape_.assign(shape.begin() + 1, shape.end());
  array->rows_ = shape[0];
  if (shape[0] > 0) {
    array->memory_ = data;
    Shard shard;
    shard.rows = shard.tail_row = shape[0];
    shard.row_stride = strides[0];
    shard.strides.assign(strides.begin() + 1, strides.end());
    array->first_rows_.push_back(0);
    array->shards_.push_back(std::move(shard));
  }
  return array;
}

size_t Array::ShardOf(int64_t row) const {
  const auto behind = std::upper_bound(first_rows_.begin(), first_rows_.end(), row);
  return static_cast<size_t>(behind - first_rows_.begin()) - 1;
}

}  // namespace npyfast
