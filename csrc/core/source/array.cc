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

std::shared_ptr<const Array> Array::Open(std::span<const Extent> extents, Map map,
                                         const RowView& view) {
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
    view.CheckFits(path, header.shape);
    if (i > 0) {
      CheckAlike({"row shape"}, extents[0].path, found[0].header.dtype,
                 view.RowShape(found[0].header.shape), path, header.dtype,
                 view.RowShape(header.shape));
    }
    if (map_now && header.shape[0] > 0) {
      found[i].file.emplace(file);
    } else {
      found[i].file.emplace(path, file.stamp());
    }
  };
  read(0);  // the others are compared with it
  ForEachFile(extents.size() - 1, [&](size_t i) { read(i + 1); });

  std::vector<FileRows> rows_of_files;
  int64_t all = 0;
  for (const auto& [header, file] : found) {
    FileRows& rows = rows_of_files.emplace_back(
        RowsOf(view, file->path(), header.shape,
               DenseStrides(header.shape, header.dtype.itemsize, header.fortran_order),
               header.dtype.itemsize));
    rows.data_offset = header.data_offset;
    FindTail(header.data_bytes(), &rows);
    if (__builtin_add_overflow(all, rows.rows, &all))
      throw Error(file->path() +
                  ": the files of one array have more rows together than can be counted");
  }

  std::shared_ptr<Array> array(new Array);
  array->dtype_ = found[0].header.dtype;
  array->row_shape_ = view.RowShape(found[0].header.shape);
  array->stamps_.reserve(extents.size());
  const RowView slice = view.Resolved(all);
  int64_t before = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    MappedFile& file = *found[i].file;
    array->stamps_.push_back(file.stamp());
    const int64_t rows = rows_of_files[i].rows;
    if (array->AddRows(std::move(rows_of_files[i]), slice, before)) {
      array->file_bytes_ += file.size();
      array->files_.push_back(std::move(file));
    } else {
      array->empty_.push_back(std::move(file));
    }
    before += rows;
  }
  array->FindStride();
  array->check_due_ = CheckClock() + kCheckIntervalNs;
  return array;
}

bool Array::AddRows(FileRows rows, const RowView& slice, int64_t before) {
  const int64_t end = std::min(slice.stop, before + rows.rows);
  int64_t first = std::max(slice.start, before);
  if (first >= end) return false;
  // The first row of the slice that is one of these.
  const int64_t past = (first - slice.start) % slice.step;
  if (past > 0 && slice.step - past >= end - first) return false;
  if (past > 0) first += slice.step - past;
  const int64_t count = (end - first - 1) / slice.step + 1;
  if (count < rows.rows) rows.Select(first - before, slice.step, count);
  rows.first_row = rows_;
  rows_ += count;
  first_rows_.push_back(rows.first_row);
  file_rows_.push_back(std::move(rows));
  return true;
}

void Array::FindStride() {
  dense_rows_ = true;
  for (const FileRows& rows : file_rows_) {
    dense_rows_ = dense_rows_ && rows.IsDense(row_shape_, dtype_.itemsize) && rows.places.empty();
    if (rows.rows == 1) continue;  // it may have any distance to the next
    if (row_stride_ == 0) row_stride_ = rows.row_stride;
    dense_rows_ = dense_rows_ && rows.row_stride == row_stride_;
  }
  if (row_stride_ == 0 && !file_rows_.empty()) row_stride_ = file_rows_[0].row_bytes;
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
                                         std::span<const int64_t> strides, const RowView& view) {
  const std::string name = "an array in memory";
  RefuseObjects(name, dtype);
  view.CheckFits(name, shape);
  std::shared_ptr<Array> array(new Array);
  array->dtype_ = dtype;
  array->row_shape_ = view.RowShape(shape);
  FileRows rows = RowsOf(view, name, shape, strides, dtype.itemsize);
  rows.tail_row = rows.rows;
  const RowView slice = view.Resolved(rows.rows);
  if (array->AddRows(std::move(rows), slice, 0)) array->memory_ = std::move(data);
  return array;
}

size_t Array::FileOf(int64_t row) const {
  const auto after = std::upper_bound(first_rows_.begin(), first_rows_.end(), row);
  return static_cast<size_t>(after - first_rows_.begin()) - 1;
}

}  // namespace npyfast
