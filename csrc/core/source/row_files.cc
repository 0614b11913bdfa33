#include "core/source/row_files.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/base/errors.h"
#include "core/npy/header_io.h"

namespace npyfast {
namespace {

// Longer headers, which are rare, are read and parsed each time.
constexpr size_t kUsualHeaderBytes = 1024;

// How often a file is read until its state is the same before and after. Replacing or removing the
// file, which is allowed, changes its state too.
constexpr int kReadAgain = 4;

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

bool RowFiles::Read(int64_t row, std::byte* out) const {
  for (int i = 0; i < kReadAgain; ++i) {
    const OpenFile file(path(row));
    const bool fortran_order = ReadOnce(file, out);
    if (file.IsUnchanged()) return fortran_order;
  }
  throw OsError(ESTALE, path(row), "was changed while it was read, again and again");
}

bool RowFiles::ReadOnce(const OpenFile& file, std::byte* out) const {
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
  CheckAlike({"files", "shape"}, path(0), header_.dtype, header_.shape, file.path(), header.dtype,
             header.shape);
  if (file.Read({out, bytes}, header.data_offset) != bytes) {
    throw FormatError(file.path() + ": became shorter while it was read: copy it again");
  }
  return header.fortran_order;
}

}  // namespace npyfast
