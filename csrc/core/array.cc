#include "core/array.h"

#include <sys/mman.h>

#include <algorithm>
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

// 1204224000 as 1,204,224,000.
std::string Grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (size_t i = text.size(); i > 3;) text.insert(i -= 3, ",");
  return text;
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

}  // namespace

std::shared_ptr<const Array> Array::Open(std::span<const std::string> paths) {
  std::shared_ptr<Array> array(new Array);
  size_t dense_shards = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    MappedFile file(paths[i]);
    const std::string_view bytes(reinterpret_cast<const char*>(file.data()),
                                 static_cast<size_t>(file.size()));
    Header header;
    try {
      const auto wanted = static_cast<size_t>(HeaderBytes(bytes.substr(0, kPrefixBytes)));
      header = ParseHeader(bytes.substr(0, wanted));
    } catch (const FormatError& e) {
      throw FormatError(paths[i] + ": not a readable .npy file: " + e.what());
    }
    RefuseObjects(paths[i], header.dtype);
    if (header.shape.empty())
      throw Error(paths[i] + ": holds a 0-dimensional array, which has no rows");
    const int64_t held = std::max<int64_t>(file.size() - header.data_offset, 0);
    if (held < header.data_bytes()) {
      throw FormatError(paths[i] + ": holds " + Grouped(held) +
                        " bytes of data, its header promises " + Grouped(header.data_bytes()) +
                        " " + ShapeText(header.shape) + " " + DtypeName(header.dtype) +
                        ": the file is truncated; copy it again");
    }
    std::vector<int64_t> row_shape(header.shape.begin() + 1, header.shape.end());
    if (i == 0) {
      array->dtype_ = header.dtype;
      array->row_shape_ = row_shape;
    } else if (!SameDtype(header.dtype, array->dtype_)) {
      throw Error("the shards of one array must have one dtype: " + paths[0] + " has " +
                  DtypeName(array->dtype_) + ", " + paths[i] + " has " + DtypeName(header.dtype));
    } else if (row_shape != array->row_shape_) {
      throw Error("the shards of one array must have one row shape: " + paths[0] + " has " +
                  ShapeText(array->row_shape_) + ", " + paths[i] + " has " + ShapeText(row_shape));
    }
    array->stamps_.push_back(file.stamp());
    const int64_t rows = header.shape[0];
    if (rows == 0) continue;
    Shard shard;
    shard.data = file.data() + header.data_offset;
    shard.first_row = array->rows_;
    shard.rows = rows;
    const std::vector<int64_t> strides =
        DenseStrides(header.shape, header.dtype.itemsize, header.fortran_order);
    shard.row_stride = strides[0];
    shard.strides.assign(strides.begin() + 1, strides.end());
    if (__builtin_add_overflow(array->rows_, rows, &array->rows_))
      throw Error(paths[i] + ": the shards have more rows together than can be counted");
    // In Fortran order too, where a row has but one item.
    if (!header.fortran_order || header.shape.size() == 1) dense_shards += 1;
    array->file_bytes_ += file.size();
    array->first_rows_.push_back(shard.first_row);
    array->shards_.push_back(std::move(shard));
    array->files_.push_back(std::move(file));
  }
  array->dense_rows_ = dense_shards == array->shards_.size();
  return array;
}

std::string Array::row_type() const { return DtypeName(dtype_) + " " + ShapeText(row_shape_); }

void Array::ExpectSingleRows() const {
  for (const MappedFile& file : files_) file.Advise(0, file.size(), MADV_RANDOM);
}

void Array::StartReading(std::span<const int64_t> rows) const {
  for (const int64_t row : rows) {
    const size_t s = ShardOf(row);
    const std::byte* first = shards_[s].data + (row - shards_[s].first_row) * shards_[s].row_stride;
    files_[s].Advise(first - files_[s].data(), shards_[s].row_stride, MADV_WILLNEED);
  }
}

std::shared_ptr<const Array> Array::View(const std::byte* data, const Dtype& dtype,
                                         std::span<const int64_t> shape,
                                         std::span<const int64_t> strides) {
  RefuseObjects("an array in memory", dtype);
  std::shared_ptr<Array> array(new Array);
  array->dtype_ = dtype;
  array->row_shape_.assign(shape.begin() + 1, shape.end());
  array->rows_ = shape[0];
  if (shape[0] > 0) {
    Shard shard;
    shard.data = data;
    shard.rows = shape[0];
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
