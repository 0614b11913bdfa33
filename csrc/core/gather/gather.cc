#include "core/gather/gather.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <string>

#include "core/base/errors.h"
#include "core/npy/shape.h"
#include "core/os/per_thread.h"
#include "core/os/recent_limits.h"
#include "core/os/sigbus_guard.h"
#include "core/os/thread_pool.h"
#include "core/source/row_runs.h"

namespace npyfast {
namespace {

// Rows whose addresses are looked up together: few enough for the addresses, and for the cache
// lines of a strided copy, to stay in the first-level cache.
constexpr size_t kRowsTogether = 256;

// Bytes of rows that are collected before they are cast or copied: few enough to stay in the
// second-level cache until then.
constexpr int64_t kScratchBytes = 256 << 10;

// Threads that read rows which are files, because opening a file waits for a disk or a network; and
// how many files one more thread is worth.
constexpr int kThreadsForFiles = 16;
constexpr int64_t kFilesPerThread = 4;

// A batch of this size would leave the cache before it is read.
constexpr int64_t kPastCacheFrom = 16 << 20;

// Indices of the layouts of rows that are files.
constexpr size_t kInC = 0;
constexpr size_t kInFortran = 1;

bool SameLayout(const std::vector<Column>& a, const std::vector<Column>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].chunk_bytes != b[i].chunk_bytes || a[i].axes.size() != b[i].axes.size()) return false;
    for (size_t k = 0; k < a[i].axes.size(); ++k) {
      if (a[i].axes[k].count != b[i].axes[k].count || a[i].axes[k].stride != b[i].axes[k].stride)
        return false;
    }
  }
  return true;
}

// The postponed checks of this thread, if it postpones them.
NPYFAST_THREAD_LOCAL constinit PostponedChecks* postponed = nullptr;

}  // namespace

PostponedChecks::PostponedChecks() : outer_(postponed) { postponed = this; }

PostponedChecks::~PostponedChecks() { postponed = outer_; }

void PostponedChecks::Check() {
  std::sort(files_.begin(), files_.end());
  files_.erase(std::unique(files_.begin(), files_.end()), files_.end());
  for (const MappedFile* file : files_) file->CheckUnchanged();
  files_.clear();
}

// The files whose last pages one call has copied.
class Gather::TailFiles {
 public:
  void Add(const MappedFile& file) {
    if (last_ == &file) return;
    last_ = &file;
    std::vector<const MappedFile*>& files = postponed ? postponed->files_ : files_;
    if (files.empty() || files.back() != &file) files.push_back(&file);
  }
  // To be called after all copies.
  void Check() {
    if (files_.empty()) return;
    PostponedChecks checks;
    checks.files_ = std::move(files_);
    checks.Check();
  }

 private:
  const MappedFile* last_ = nullptr;
  std::vector<const MappedFile*> files_;  // unless the checks are postponed
};

// Copies the rows of one call, a few hundred at a time.
class Gather::Copier {
 public:
  Copier(const Gather& gather, std::byte* const* out, Stores stores)
      : gather_(gather), slots_(out, out + gather.columns()), stores_(stores) {}

  // The next rows have this layout. REQUIRES: no row waits to be copied.
  void Use(size_t layout) {
    layout_ = layout;
    most_ = kRowsTogether;
    if (gather_.cast_ == nullptr || gather_.IsContiguous(layout)) {
      dense_ = nullptr;
      return;
    }
    const int64_t bytes = gather_.cast_->source_row_bytes();
    most_ = RowsInScratch(bytes);
    dense_ = AcquireRows(static_cast<int64_t>(most_), bytes);
  }
  // The same between rows that wait to be copied.
  void Switch(size_t layout) {
    if (layout == layout_) return;
    Flush();
    Use(layout);
  }
  static size_t RowsInScratch(int64_t row_bytes) {
    return static_cast<size_t>(std::clamp<int64_t>(kScratchBytes / std::max<int64_t>(row_bytes, 1),
                                                   1, static_cast<int64_t>(kRowsTogether)));
  }

  size_t layout() const { return layout_; }
  bool full() const { return rows_ == most_; }
  void Add(const std::byte* row) { sources_[rows_++] = row; }
  // Has this byte of a file read after the rows that are added. On the page where a truncated file
  // now ends, rows are zeros, without a fault; reading the last byte faults.
  // REQUIRES: file < Array::kProbedFiles.
  void Probe(size_t file, const std::byte* byte) {
    probed_ |= uint64_t{1} << file;
    probes_[file] = byte;
  }
  // The slot of the next row. REQUIRES: there is one column, and no row waits to be copied.
  std::byte* slot() const { return slots_[0]; }
  void Skip(size_t rows) {
    for (size_t c = 0; c < slots_.size(); ++c)
      slots_[c] += gather_.row_bytes_[c] * static_cast<int64_t>(rows);
  }

  void Flush() {
    const void* fault;
    if (!RunGuarded(Copy, this, &fault)) gather_.array_->ThrowUnreadable(fault);
    Skip(rows_);
    rows_ = 0;
  }

 private:
  // May be left at any point: nothing here has a destructor.
  static void Copy(const void* copier) noexcept {
    const Copier& self = *static_cast<const Copier*>(copier);
    const Cast* cast = self.gather_.cast_.get();
    const std::vector<Column>& columns = self.gather_.layouts_[self.layout_];
    if (cast == nullptr) {
      for (size_t c = 0; c < columns.size(); ++c)
        CopyColumn(columns[c], self.sources_.data(), self.rows_, self.slots_[c], self.stores_);
    } else if (self.dense_ == nullptr) {
      cast->Rows(self.sources_.data(), self.rows_, self.slots_[0], self.stores_);
    } else {
      CopyColumn(columns[0], self.sources_.data(), self.rows_, self.dense_.get());
      std::array<const std::byte*, kRowsTogether> rows;
      for (size_t i = 0; i < self.rows_; ++i)
        rows[i] = self.dense_.get() + static_cast<int64_t>(i) * cast->source_row_bytes();
      cast->Rows(rows.data(), self.rows_, self.slots_[0], self.stores_);
    }
    // The rows are read before the probes. (A fence for the CPU is unknown to ThreadSanitizer, and
    // not needed: x86 keeps loads in order, and elsewhere they move by less than it takes to
    // truncate a file.)
    std::atomic_signal_fence(std::memory_order_seq_cst);
    for (uint64_t left = self.probed_; left != 0; left &= left - 1)
      static_cast<void>(
          *static_cast<const volatile std::byte*>(self.probes_[std::countr_zero(left)]));
  }

  const Gather& gather_;
  std::array<const std::byte*, kRowsTogether> sources_;
  size_t rows_ = 0;
  uint64_t probed_ = 0;  // one bit for each file in probes_
  std::array<const std::byte*, Array::kProbedFiles> probes_;
  size_t most_ = kRowsTogether;
  size_t layout_ = 0;
  std::vector<std::byte*> slots_;
  Buffer dense_;  // for rows to be made dense before they are cast; null if they are
  Stores stores_;
};

void ResolveRows(std::span<const int64_t> rows, int64_t array_rows, std::span<int64_t> out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = rows[i] < 0 ? rows[i] + array_rows : rows[i];
    if (row < 0 || row >= array_rows) {
      throw IndexError("row " + std::to_string(rows[i]) + " is out of range for " +
                       std::to_string(array_rows) + " rows");
    }
    out[i] = row;
  }
}

Gather::Gather(std::shared_ptr<const Array> array, Fields fields, std::shared_ptr<const Cast> cast)
    : array_(std::move(array)), cast_(std::move(cast)), fields_(fields) {
  // An array without rows has no layout, but has columns.
  const std::vector<int64_t> no_strides(array_->row_shape().size(), 0);
  for (const Column& column :
       MakeColumns(array_->dtype(), array_->row_shape(), no_strides, fields)) {
    row_bytes_.push_back(cast_ ? cast_->row_bytes() : column.row_bytes);
    total_row_bytes_ = BytesTogether(total_row_bytes_, row_bytes_.back());
  }
  const bool read_in_runs = array_->file_bytes() > 0 && !array_->has_dense_rows();
  for (size_t i = 0; i < array_->file_rows().size(); ++i) {
    const std::vector<int64_t>& strides = array_->file_rows()[i].strides;
    // Most of many files are alike.
    const bool as_last = i > 0 && strides == array_->file_rows()[i - 1].strides;
    layout_of_file_.push_back(as_last ? layout_of_file_.back() : AddLayout(strides));
    if (!read_in_runs) continue;
    layout_of_image_.push_back(as_last ? layout_of_image_.back()
                                       : AddLayout(ImageOf(*array_, i).strides));
  }
  if (const RowFiles* files = array_->row_files()) {
    row_file_cache_ = std::make_unique<RowFileCache>();
    for (const bool fortran_order : {false, true}) {
      const auto strides = DenseStrides(files->row_shape(), files->dtype().itemsize, fortran_order);
      layouts_.push_back(MakeColumns(array_->dtype(), array_->row_shape(), strides, fields));
    }
  }
  InstallGuard();
}

size_t Gather::AddLayout(std::span<const int64_t> strides) {
  std::vector<Column> columns = MakeColumns(array_->dtype(), array_->row_shape(), strides, fields_);
  // It would be one of the last file's two: others are not looked for, as there may be many files.
  for (size_t i = layouts_.size(), first = i < 2 ? 0 : i - 2; i-- > first;)
    if (SameLayout(layouts_[i], columns)) return i;
  layouts_.push_back(std::move(columns));
  return layouts_.size() - 1;
}

bool Gather::IsContiguous(size_t layout) const {
  if (columns() != 1) return false;
  const Column& column = layouts_[layout][0];
  return column.axes.empty() && column.swaps.empty() && column.offset == 0;
}

Stores Gather::StoresFor(int64_t rows) const {
  return BytesOfRows(rows, total_row_bytes_) >= kPastCacheFrom ? Stores::kPastCache
                                                               : Stores::kCached;
}

void Gather::Rows(std::span<const int64_t> rows, std::byte* const* out) const {
  Rows(rows, out, StoresFor(std::ssize(rows)));
}

void Gather::Rows(std::span<const int64_t> rows, std::byte* const* out, Stores stores,
                  const std::byte* const* addresses) const {
  if (rows.empty()) return;
  Copier copier(*this, out, stores);
  if (array_->row_files() != nullptr) {
    RowsOfFiles(rows, &copier);
  } else {
    RowsInMemory(rows, addresses, &copier);
  }
  if (stores == Stores::kPastCache) FinishStores();
}

void Gather::RowsInMemory(std::span<const int64_t> rows, const std::byte* const* addresses,
                          Copier* copier) const {
  if (total_row_bytes_ == 0) return;  // there may be no data
  const std::vector<FileRows>& files = array_->file_rows();
  TailFiles tails;
  size_t file = 0;
  const std::byte* data = files.size() == 1 ? array_->data(0) : nullptr;
  copier->Use(layout_of_file_[0]);
  const bool probed = array_->is_probed();
  if (probed && files.size() == 1 && addresses == nullptr) copier->Probe(0, array_->last_byte(0));
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = rows[i];
    if (addresses != nullptr) {
      if (addresses[i] != nullptr) {
        // All files have the one layout of dense rows.
        if (!layout_of_image_.empty())
          copier->Switch(layout_of_image_[files.size() > 1 ? array_->FileOf(row) : 0]);
        copier->Add(addresses[i]);
        if (copier->full()) copier->Flush();
        continue;
      }
      if (files.size() == 1) {
        copier->Switch(layout_of_file_[0]);
        if (probed) copier->Probe(0, array_->last_byte(0));
      }
    }
    if (files.size() > 1) {
      file = array_->FileOf(row);
      data = array_->data(file);
      if (probed) copier->Probe(file, array_->last_byte(file));
      copier->Switch(layout_of_file_[file]);
    }
    const int64_t in_file = row - files[file].first_row;
    copier->Add(data + files[file].OffsetOf(in_file));
    if (in_file >= files[file].tail_row) tails.Add(array_->file(file));
    if (copier->full()) copier->Flush();
  }
  copier->Flush();
  tails.Check();
}

void Gather::RowsOfFiles(std::span<const int64_t> rows, Copier* copier) const {
  const RowFiles& files = *array_->row_files();
  const auto row_bytes = static_cast<size_t>(files.row_bytes());
  // Most rows need no more than being read.
  const bool into_slots =
      cast_ == nullptr && IsContiguous(kInC) && row_bytes == static_cast<size_t>(row_bytes_[0]);
  const size_t most = into_slots ? 1 : Copier::RowsInScratch(files.row_bytes());
  Buffer scratch;
  if (!into_slots || !IsContiguous(kInFortran))
    scratch = AcquireRows(static_cast<int64_t>(most), files.row_bytes());
  size_t waiting = 0;
  for (const int64_t row : rows) {
    std::byte* target = into_slots ? copier->slot() : scratch.get() + waiting * row_bytes;
    const auto through =
        row_file_cache_->Keeps(row) ? RowFiles::Through::kPageCache : RowFiles::Through::kOwnMemory;
    const size_t layout = files.Read(row, target, through) ? kInFortran : kInC;
    if (into_slots && IsContiguous(layout)) {
      copier->Skip(1);
      continue;
    }
    if (waiting > 0 && layout != copier->layout()) {
      copier->Flush();
      waiting = 0;
    }
    if (waiting == 0) {
      copier->Use(layout);
      if (target != scratch.get()) std::memcpy(scratch.get(), target, row_bytes);
      target = scratch.get();
    }
    copier->Add(target);
    if (++waiting == most || copier->full()) {
      copier->Flush();
      waiting = 0;
    }
  }
  if (waiting > 0) copier->Flush();
}

void Gather::RowsParallel(std::span<const int64_t> rows, std::byte* const* out, int threads) const {
  InstallGuard();
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t worthwhile = array_->row_files() != nullptr
                                 ? count / kFilesPerThread
                                 : BytesOfRows(count, total_row_bytes_) / kBytesPerThread;
  const int64_t parts = std::min({static_cast<int64_t>(threads), worthwhile, count});
  if (parts <= 1) return Rows(rows, out);
  const Stores stores = StoresFor(std::ssize(rows));
  ThreadPool::Shared().ParallelFor(static_cast<int>(parts), [&](int part) {
    const size_t first = rows.size() * static_cast<size_t>(part) / static_cast<size_t>(parts);
    const size_t last = rows.size() * static_cast<size_t>(part + 1) / static_cast<size_t>(parts);
    std::vector<std::byte*> slots(out, out + columns());
    for (size_t c = 0; c < columns(); ++c) slots[c] += row_bytes_[c] * static_cast<int64_t>(first);
    Rows(rows.subspan(first, last - first), slots.data(), stores);
  });
}

int UsualThreads(std::span<const std::shared_ptr<const Gather>> leaves) {
  int threads = RecentUsableCpus();
  for (const auto& leaf : leaves) {
    if (leaf->array()->row_files() != nullptr) threads = std::max(threads, kThreadsForFiles);
  }
  return threads;
}

}  // namespace npyfast
