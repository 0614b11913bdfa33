#include "core/array.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "core/dtype_name.h"
#include "core/errors.h"
#include "core/header.h"

namespace npyfast {
namespace {

std::string ShapeText(std::span<const int64_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::vector<int64_t> DenseStrides(std::span<const int64_t> shape, int64_t itemsize,
                                  bool fortran_order) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = itemsize;
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t axis = fortran_order ? i : shape.size() - 1 - i;
    strides[axis] = stride;
    stride *= std::max<int64_t>(shape[axis], 1);  // the header's product cannot overflow
  }
  return strides;
}

void RefuseObjects(const std::string& name, const Dtype& dtype) {
  if (!dtype.has_objects()) return;
  throw ObjectDtypeError(name +
                         ": holds Python objects (dtype object), which npyfast never unpickles; "
                         "save the array with a numeric or fixed-length string dtype");
}

// More shards than this are mapped one by one, when they are first read: each mapping is one more
// thing for the kernel to keep. Fewer are mapped at once, which keeps a file that is removed or
// replaced later.
constexpr size_t kMappedWhenOpened = 256;

// Headers are rarely longer, and nothing shorter than a page is read anyway.
constexpr size_t kUsualHeaderBytes = 4096;

// What CheckSizeNowAndThen() may cost: a hundredth of one thread's time, whatever is read.
constexpr int64_t kNanosecondsPerCheck = 100'000;

Header ReadHeader(const OpenFile& file) {
  try {
    std::string bytes = file.Start(kUsualHeaderBytes);
    const auto wanted =
        static_cast<size_t>(HeaderBytes(std::string_view(bytes).substr(0, kPrefixBytes)));
    if (wanted > kUsualHeaderBytes) bytes = file.Start(wanted);
    return ParseHeader(std::string_view(bytes).substr(0, wanted));
  } catch (const FormatError& e) {
    throw FormatError(file.path() + ": not a readable .npy file: " + e.what());
  }
}

void CheckFile(const OpenFile& file, const Header& header) {
  RefuseObjects(file.path(), header.dtype);
  if (header.shape.empty())
    throw Error(file.path() + ": holds a 0-dimensional array, which has no rows");
  const int64_t held = std::max<int64_t>(file.stamp().size - header.data_offset, 0);
  if (held >= header.data_bytes()) return;
  throw FormatError(file.path() + ": holds " + Grouped(held) +
                    " bytes of data, its header promises " + Grouped(header.data_bytes()) + " " +
                    ShapeText(header.shape) + " " + DtypeName(header.dtype) +
                    ": the file is truncated; copy it again");
}

std::vector<int64_t> RowShape(const Header& header) {
  return {header.shape.begin() + 1, header.shape.end()};
}

void CheckFits(const std::string& first_path, const Header& first, const std::string& path,
               const Header& header) {
  if (!SameDtype(header.dtype, first.dtype)) {
    throw Error("the shards of one array must have one dtype: " + first_path + " has " +
                DtypeName(first.dtype) + ", " + path + " has " + DtypeName(header.dtype));
  }
  if (RowShape(header) != RowShape(first)) {
    throw Error("the shards of one array must have one row shape: " + first_path + " has " +
                ShapeText(RowShape(first)) + ", " + path + " has " + ShapeText(RowShape(header)));
  }
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
  struct Found {
    Header header;
    std::optional<MappedFile> file;
  };
  std::vector<Found> found(paths.size());
  const bool map_now = paths.size() <= kMappedWhenOpened;
  const auto read = [&](size_t i) {
    const OpenFile file(paths[i]);
    found[i].header = ReadHeader(file);
    CheckFile(file, found[i].header);
    if (i > 0) CheckFits(paths[0], found[0].header, paths[i], found[i].header);
    if (map_now && found[i].header.shape[0] > 0) {
      found[i].file.emplace(file);
    } else {
      found[i].file.emplace(paths[i], file.stamp());
    }
  };
  read(0);  // the others are held to it
  ForEachFile(paths.size() - 1, [&](size_t i) { read(i + 1); });

  std::shared_ptr<Array> array(new Array);
  array->dtype_ = found[0].header.dtype;
  array->row_shape_ = RowShape(found[0].header);
  array->stamps_.reserve(paths.size());
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
