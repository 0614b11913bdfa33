#include "core/source/row_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "core/base/errors.h"
#include "core/npy/header_io.h"
#include "core/os/direct_file.h"
#include "core/os/fork.h"
#include "core/os/per_thread.h"

namespace npyfast {
namespace {

// Longer headers, which are rare, are read and parsed each time.
constexpr size_t kUsualHeaderBytes = 1024;

// How often a file is read until its state is the same before and after. Replacing or removing the
// file, which is allowed, changes its state too.
constexpr int kReadAgain = 4;

// Each thread that reads past the page cache has memory for a row of up to so many bytes.
constexpr size_t kMostDirectBytes = 4 << 20;

// Memory of one thread for direct reads. A forked child does not have it (see DirectBuffers), so
// that a thread which went on there must not use nor free what it has inherited.
class DirectMemory {
 public:
  DirectMemory() = default;
  ~DirectMemory() { LeaveIfForked(); }
  DirectMemory(const DirectMemory&) = delete;
  DirectMemory& operator=(const DirectMemory&) = delete;

  // At least so many bytes, in whole blocks. Throws std::bad_alloc.
  std::span<std::byte> Of(size_t bytes) {
    constexpr size_t kBlock = DirectFile::kMostAlignment;
    bytes = (bytes + kBlock - 1) / kBlock * kBlock;
    LeaveIfForked();
    if (buffers_ == nullptr || buffers_->bytes().size() < bytes) {
      buffers_ = nullptr;
      buffers_ = std::make_unique<DirectBuffers>(bytes);
      generation_ = ForkGeneration();
    }
    return buffers_->bytes().first(bytes);
  }

 private:
  void LeaveIfForked() {
    if (buffers_ != nullptr && generation_ != ForkGeneration())
      static_cast<void>(buffers_.release());
  }

  std::unique_ptr<DirectBuffers> buffers_;
  uint64_t generation_ = 0;
};

}  // namespace

RowFiles::RowFiles(std::span<const std::string> paths) {
  const std::string here = AbsolutePath("");
  const auto folder = [&here](const std::string& path) -> std::string_view {
    return path.starts_with('/') ? std::string_view() : here;
  };
  size_t bytes = 0;
  for (const std::string& path : paths) bytes += folder(path).size() + path.size();
  paths_.reserve(bytes);
  ends_.reserve(paths.size());
  for (const std::string& path : paths) {
    paths_ += folder(path);
    paths_ += path;
    ends_.push_back(static_cast<int64_t>(paths_.size()));
  }
  const OpenFile file(paths[0]);
  header_ = ReadHeader(file, &header_bytes_);
  CheckData(file, header_);
  first_stamp_ = file.stamp();
}

std::string RowFiles::path(int64_t row) const {
  const auto i = static_cast<size_t>(row);
  const auto begin = static_cast<size_t>(i == 0 ? 0 : ends_[i - 1]);
  return paths_.substr(begin, static_cast<size_t>(ends_[i]) - begin);
}

bool RowFiles::Read(int64_t row, std::byte* out, Through through) const {
  for (int i = 0; i < kReadAgain; ++i) {
    const OpenFile file(path(row));
    const bool fortran_order = ReadOnce(file, out, through);
    if (file.IsUnchanged()) return fortran_order;
  }
  throw OsError(ESTALE, path(row), "was changed while it was read, again and again");
}

bool RowFiles::ReadDirectly(const OpenFile& file, std::byte* out) const {
  const size_t bytes = header_bytes_.size() + static_cast<size_t>(row_bytes());
  if (header_bytes_.size() > kUsualHeaderBytes || bytes > kMostDirectBytes) return false;
  const std::span<std::byte> memory = PerThread<DirectMemory, RowFiles>::Get().Of(bytes);
  if (memory.empty() || file.ReadDirectly(memory) < bytes) return false;
  if (std::memcmp(memory.data(), header_bytes_.data(), header_bytes_.size()) != 0) return false;
  std::copy_n(memory.begin() + std::ssize(header_bytes_), row_bytes(), out);
  return true;
}

bool RowFiles::ReadOnce(const OpenFile& file, std::byte* out, Through through) const {
  if (through == Through::kOwnMemory && ReadDirectly(file, out)) return header_.fortran_order;
  const auto bytes = static_cast<size_t>(row_bytes());
  if (header_bytes_.size() <= kUsualHeaderBytes) {
    std::array<std::byte, kUsualHeaderBytes> start;
    const std::span<std::byte> header(start.data(), header_bytes_.size());
    if (file.Read(header, {out, bytes}) == header.size() + bytes &&
        std::memcmp(header.data(), header_bytes_.data(), header.size()) == 0) {
      return header_.fortran_order;
    }
  }
  const Header header = ReadHeader(file);
  CheckData(file, header);
  CheckAlike({"shape", "; each is one row: pad or crop them"}, path(0), header_.dtype,
             header_.shape, file.path(), header.dtype, header.shape);
  if (file.Read({out, bytes}, header.data_offset) != bytes) {
    throw FormatError(file.path() + ": became shorter while it was read: copy it again");
  }
  return header.fortran_order;
}

}  // namespace npyfast
