#include "core/source/array.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "core/base/errors.h"
#include "core/npy/header_io.h"
#include "core/npy/shape.h"
#include "core/os/clock.h"
#include "core/os/page_size.h"

namespace npyfast {
namespace {

// Up to this many files are mapped when they are opened, which keeps files that are removed or
// replaced later. More are mapped when they are first read, because processes have few mappings.
constexpr size_t kMappedWhenOpened = 256;

// The time between two checks of all files: at least this long, and this multiple of a check's
// time.
constexpr int64_t kCheckIntervalNs = 100'000'000;
constexpr int64_t kCheckIntervals = 100;

// Up to this many files are checked by one thread: waking up others would take longer.
constexpr size_t kCheckedAlone = 16;

std::vector<int64_t> RowShape(const Header& header) {
  return {header.shape.begin() + 1, header.shape.end()};
}

// The first row that has bytes on the last page of the file's data. REQUIRES: there are rows.
int64_t TailRow(const Header& header, int64_t row_stride) {
  const int64_t page = PageBytes();
  const int64_t rows = header.shape[0];
  if (header.data_bytes() == 0) return rows;
  const int64_t last_page = (header.data_offset + header.data_bytes() - 1) / page * page;
  // From a row's first byte to the end of its last one; in Fortran order, across all columns.
  const int64_t extent = header.data_bytes() - (rows - 1) * row_stride;
  const int64_t before = last_page - header.data_offset - extent;
  return before < 0 ? 0 : before / row_stride + 1;
}

}  // namespace

std::shared_ptr<const Array> Array::Open(std::span<const std::string> paths) {
  std::vector<Extent> extents;
  for (const std::string& path : paths) extents.push_back({path});
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

std::shared_ptr<const Array> Array::Open(std::span<const Extent> extents, Map map) {
  struct Found {
    Header header;
    std::optional<MappedFile> file;
  };
  std::vector<Found> found(extents.size());
  const bool map_now = map == Map::kNow && extents.size() <= kMappedWhenOpened;
  const auto read = [&](size_t i) {
    const auto& [path, known, stamp] = extents[i];
    const OpenFile file(path);
    if (stamp && file.stamp() != *stamp)
      throw OsError(ESTALE, path, "was changed or replaced while it was opened; open it again");
    Header& header = found[i].header;
    header = known ? *known : ReadHeader(file);
    CheckData(file, header);
    if (header.shape.empty())
      throw Error(path + ": holds a 0-dimensional array, which has no rows");
    if (i > 0) {
      CheckAlike({"files", "row shape"}, extents[0].path, found[0].header.dtype,
                 RowShape(found[0].header), path, header.dtype, RowShape(header));
    }
    if (map_now && header.shape[0] > 0) {
      found[i].file.emplace(file);
    } else {
      found[i].file.emplace(path, file.stamp());
    }
  };
  read(0);  // the others are compared with it
  ForEachFile(extents.size() - 1, [&](size_t i) { read(i + 1); });

  std::shared_ptr<Array> array(new Array);
  array->dtype_ = found[0].header.dtype;
  array->row_shape_ = RowShape(found[0].header);
  array->stamps_.reserve(extents.size());
  size_t dense_files = 0;
  for (auto& [header, file] : found) {
    array->stamps_.push_back(file->stamp());
    const int64_t rows = header.shape[0];
    if (rows == 0) {
      array->empty_.push_back(std::move(*file));
      continue;
    }
    FileRows place;
    place.first_row = array->rows_;
    place.rows = rows;
    place.data_offset = header.data_offset;
    const std::vector<int64_t> strides =
        DenseStrides(header.shape, header.dtype.itemsize, header.fortran_order);
    place.row_stride = strides[0];
    place.strides.assign(strides.begin() + 1, strides.end());
    place.tail_row = TailRow(header, place.row_stride);
    if (__builtin_add_overflow(array->rows_, rows, &array->rows_))
      throw Error(file->path() +
                  ": the files of one array have more rows together than can be counted");
    // Rows of one item are dense in Fortran order too.
    if (!header.fortran_order || header.shape.size() == 1) dense_files += 1;
    array->file_bytes_ += file->size();
    array->first_rows_.push_back(place.first_row);
    array->file_rows_.push_back(std::move(place));
    array->files_.push_back(std::move(*file));
  }
  array->dense_rows_ = dense_files == array->file_rows_.size();
  array->check_due_ = CheckClock() + kCheckIntervalNs;
  return array;
}

int64_t Array::CheckClock() { return CoarseClockNs(); }

void Array::CheckFiles() const {
  const size_t count = files_.size() + empty_.size();
  if (count == 0) return;
  // Meanwhile other readers need not check.
  check_due_.store(CheckClock() + kCheckIntervalNs, std::memory_order_relaxed);
  const auto begin = std::chrono::steady_clock::now();
  const auto check = [this](size_t i) {
    (i < files_.size() ? files_[i] : empty_[i - files_.size()]).CheckUnchanged();
  };
  try {
    if (count > kCheckedAlone) {
      ForEachFile(count, check);
    } else {
      for (size_t i = 0; i < count; ++i) check(i);
    }
  } catch (...) {
    check_due_.store(INT64_MIN, std::memory_order_relaxed);
    throw;
  }
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
  const int64_t interval = std::max(kCheckIntervalNs, kCheckIntervals * int64_t{took.count()});
  check_due_.store(CheckClock() + interval, std::memory_order_relaxed);
}

void Array::CheckFilesOf(std::span<const int64_t> rows) const {
  if (files_.empty() || rows.empty()) return;
  if (files_.size() == 1) return files_[0].CheckUnchanged();
  std::vector<bool> checked(files_.size());
  size_t file = FileOf(rows[0]);
  for (const int64_t row : rows) {
    const FileRows& place = file_rows_[file];
    if (row < place.first_row || row - place.first_row >= place.rows) file = FileOf(row);
    if (checked[file]) continue;
    checked[file] = true;
    files_[file].CheckUnchanged();
  }
}

void Array::ThrowUnreadable(const void* address) const {
  for (const MappedFile& file : files_) {
    if (!file.Holds(address)) continue;
    file.CheckUnchanged();
    throw OsError(EIO, file.path());
  }
  // The file is unknown.
  for (const MappedFile& file : files_) file.CheckUnchanged();
  throw Error(
      "memory of an array can't be read or written: it belongs to a mapped file that was "
      "truncated meanwhile, or whose disk has failed");
}

std::string Array::row_type() const { return DtypeName(dtype_) + " " + ShapeText(row_shape_); }

std::shared_ptr<const Array> Array::View(std::shared_ptr<const std::byte> data, const Dtype& dtype,
                                         std::span<const int64_t> shape,
                                         std::span<const int64_t> strides) {
  RefuseObjects("an array in memory", dtype);
  std::shared_ptr<Array> array(new Array);
  array->dtype_ = dtype;
  array->row_shape_.assign(shape.begin() + 1, shape.end());
  array->rows_ = shape[0];
  if (shape[0] > 0) {
    array->memory_ = std::move(data);
    FileRows place;
    place.rows = place.tail_row = shape[0];
    place.row_stride = strides[0];
    place.strides.assign(strides.begin() + 1, strides.end());
    array->first_rows_.push_back(0);
    array->file_rows_.push_back(std::move(place));
  }
  return array;
}

size_t Array::FileOf(int64_t row) const {
  const auto after = std::upper_bound(first_rows_.begin(), first_rows_.end(), row);
  return static_cast<size_t>(after - first_rows_.begin()) - 1;
}

}  // namespace npyfast
