#include "core/source/array_source.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "core/base/errors.h"
#include "core/npy/header.h"
#include "core/npy/shape.h"

namespace npyfast {
namespace {

using Kind = ArraySource::Kind;

constexpr size_t kStampNumbers = 5;  // device, inode, size, times of modification and of change

void AppendStamp(const FileStamp& stamp, std::vector<int64_t>* numbers) {
  numbers->insert(numbers->end(),
                  {static_cast<int64_t>(stamp.device), static_cast<int64_t>(stamp.inode),
                   stamp.size, stamp.modified_ns, stamp.changed_ns});
}

FileStamp StampFrom(const int64_t* numbers) {
  return {static_cast<uint64_t>(numbers[0]), static_cast<uint64_t>(numbers[1]), numbers[2],
          numbers[3], numbers[4]};
}

void AppendView(const RowView& view, std::vector<int64_t>* numbers) {
  numbers->push_back(std::ssize(view.window));
  numbers->insert(numbers->end(), view.window.begin(), view.window.end());
  numbers->insert(numbers->end(), view.stride.begin(), view.stride.end());
  numbers->insert(numbers->end(), {view.start, view.stop, view.step});
}

std::string Joined(const std::vector<std::string>& paths) {
  std::string joined;
  for (const std::string& path : paths) joined.append(AbsolutePath(path)).push_back('\0');
  joined.pop_back();
  return joined;
}

std::vector<std::string> Split(const std::vector<std::string>& joined) {
  std::vector<std::string> paths;
  for (const std::string& some : joined) {
    for (size_t begin = 0, end; begin <= some.size(); begin = end + 1) {
      end = std::min(some.find('\0', begin), some.size());
      paths.push_back(some.substr(begin, end - begin));
    }
  }
  return paths;
}

// Reads the lists of EncodedArrays from the front.
class Decoder {
 public:
  explicit Decoder(const EncodedArrays& encoded) : encoded_(encoded), paths_(Split(encoded.files)) {
    const size_t arrays = encoded.file_counts.size();
    const bool has_kinds = encoded.kinds.empty() || encoded.kinds.size() == arrays;
    if (arrays == 0 || encoded.row_types.size() != arrays || !has_kinds ||
        encoded.headers.size() != encoded.offsets.size()) {
      throw FormatError("files");
    }
  }

  ArrayFiles Array(size_t array) {
    ArrayFiles files;
    files.source.kind = KindOf(array);
    if (!encoded_.views.empty()) files.source.view = View();
    files.row_type = encoded_.row_types[array];
    files.rows = encoded_.rows;
    const int64_t count = encoded_.file_counts[array];
    const bool is_memory = files.source.kind == Kind::kMemory;
    if (is_memory ? count != 0 : count < 1 || static_cast<size_t>(count) > paths_.size() - path_)
      throw FormatError("shards");
    if (is_memory) AddMemory(&files.source);
    for (int64_t i = 0; i < count; ++i) {
      files.source.paths.push_back(std::move(paths_[path_++]));
      if (files.source.kind == Kind::kExtents) AddExtent(&files.source);
      if (files.source.kind != Kind::kRowFiles) files.stamps.push_back(Stamp());
    }
    return files;
  }

  void CheckEnd() const {
    if (path_ != paths_.size() || extent_ != encoded_.headers.size() ||
        stride_ != encoded_.strides.size() || stamp_ != encoded_.stamps.size() ||
        view_ != encoded_.views.size()) {
      throw FormatError("files");
    }
  }

 private:
  Kind KindOf(size_t array) const {
    if (encoded_.kinds.empty()) return Kind::kNpyFiles;
    const auto kind = static_cast<Kind>(encoded_.kinds[array]);
    if (kind < Kind::kNpyFiles || kind > Kind::kMemory) throw FormatError("kinds");
    return kind;
  }

  // Returns the number of dimensions.
  size_t AddExtent(ArraySource* source) {
    if (extent_ == encoded_.headers.size() || encoded_.offsets[extent_] < 0)
      throw FormatError("headers");
    size_t dimensions = 0;
    try {
      dimensions = ParseHeader(encoded_.headers[extent_]).shape.size();
    } catch (const FormatError&) {
      throw FormatError("headers");
    }
    source->headers.push_back(encoded_.headers[extent_]);
    source->offsets.push_back(encoded_.offsets[extent_++]);
    return dimensions;
  }

  void AddMemory(ArraySource* source) {
    const size_t dimensions = AddExtent(source);
    if (dimensions == 0) throw FormatError("headers");
    if (encoded_.strides.size() - stride_ < dimensions) throw FormatError("strides");
    const auto first = encoded_.strides.begin() + static_cast<std::ptrdiff_t>(stride_);
    source->strides.assign(first, first + static_cast<std::ptrdiff_t>(dimensions));
    stride_ += dimensions;
  }

  FileStamp Stamp() {
    if (encoded_.stamps.size() - stamp_ < kStampNumbers) throw FormatError("stamps");
    const FileStamp stamp = StampFrom(&encoded_.stamps[stamp_]);
    stamp_ += kStampNumbers;
    return stamp;
  }

  // The next `count` numbers of views, each at least `least`.
  std::vector<int64_t> ViewNumbers(size_t count, int64_t least) {
    if (encoded_.views.size() - view_ < count) throw FormatError("views");
    const auto first = encoded_.views.begin() + static_cast<std::ptrdiff_t>(view_);
    std::vector<int64_t> numbers(first, first + static_cast<std::ptrdiff_t>(count));
    view_ += count;
    if (std::ranges::any_of(numbers, [least](int64_t number) { return number < least; }))
      throw FormatError("views");
    return numbers;
  }

  RowView View() {
    const int64_t axes = ViewNumbers(1, 0)[0];
    if (axes > static_cast<int64_t>(kMaxDimensions)) throw FormatError("views");
    RowView view;
    view.window = ViewNumbers(static_cast<size_t>(axes), 1);
    view.stride = ViewNumbers(static_cast<size_t>(axes), 1);
    view.start = ViewNumbers(1, INT64_MIN)[0];
    view.stop = ViewNumbers(1, INT64_MIN)[0];
    view.step = ViewNumbers(1, 1)[0];
    return view;
  }

  const EncodedArrays& encoded_;
  std::vector<std::string> paths_;
  // What comes next.
  size_t path_ = 0;
  size_t extent_ = 0;
  size_t stride_ = 0;
  size_t stamp_ = 0;
  size_t view_ = 0;
};

}  // namespace

std::shared_ptr<const Array> OpenArray(const ArraySource& source, std::span<const FileStamp> stamps,
                                       Array::Map map) {
  if (source.kind == Kind::kRowFiles) return Array::OpenRowFiles(source.paths);
  std::vector<Extent> extents;
  extents.reserve(source.paths.size());
  for (size_t i = 0; i < source.paths.size(); ++i) {
    extents.push_back({source.paths[i]});
    Extent& extent = extents.back();
    if (source.kind == Kind::kExtents) {
      extent.header = ParseHeader(source.headers[i]);
      extent.header->data_offset = source.offsets[i];
    }
    if (!stamps.empty()) extent.stamp = stamps[i];
  }
  return Array::Open(extents, map, source.view);
}

std::shared_ptr<const Array> ViewMemory(const ArraySource& source,
                                        const std::shared_ptr<const std::byte>& data,
                                        int64_t bytes) {
  const Header header = ParseHeader(source.headers[0]);
  const int64_t offset = source.offsets[0];
  if (header.elements() == 0) {
    static constexpr std::byte kNothing{};
    return Array::View({std::shared_ptr<void>(), &kNothing}, header.dtype, header.shape,
                       source.strides, source.view);
  }
  // The bytes of all items. Neither bound ever comes back, so none overflows.
  __int128 begin = offset;
  __int128 end = begin + header.dtype.itemsize;
  for (size_t axis = 0; axis < header.shape.size() && begin >= 0 && end <= bytes; ++axis) {
    const __int128 last = static_cast<__int128>(header.shape[axis] - 1) * source.strides[axis];
    (last < 0 ? begin : end) += last;
  }
  if (begin < 0 || end > bytes) throw FormatError("strides");
  std::shared_ptr<const std::byte> first(data, data.get() + offset);
  return Array::View(std::move(first), header.dtype, header.shape, source.strides, source.view);
}

EncodedArrays Encode(std::span<const ArrayFiles> arrays) {
  EncodedArrays encoded;
  encoded.rows = arrays[0].rows;
  for (const auto& [source, stamps, row_type, rows] : arrays) {
    if (!source.paths.empty()) encoded.files.push_back(Joined(source.paths));
    encoded.file_counts.push_back(std::ssize(source.paths));
    encoded.kinds.push_back(static_cast<int64_t>(source.kind));
    encoded.headers.insert(encoded.headers.end(), source.headers.begin(), source.headers.end());
    encoded.offsets.insert(encoded.offsets.end(), source.offsets.begin(), source.offsets.end());
    encoded.strides.insert(encoded.strides.end(), source.strides.begin(), source.strides.end());
    for (const FileStamp& stamp : stamps) AppendStamp(stamp, &encoded.stamps);
    encoded.row_types.push_back(row_type);
  }
  const auto has_view = [](const ArrayFiles& files) { return files.source.view != RowView(); };
  if (std::ranges::any_of(arrays, has_view))
    for (const ArrayFiles& files : arrays) AppendView(files.source.view, &encoded.views);
  return encoded;
}

std::vector<ArrayFiles> Decode(const EncodedArrays& encoded) {
  Decoder decoder(encoded);
  std::vector<ArrayFiles> arrays;
  for (size_t i = 0; i < encoded.file_counts.size(); ++i) arrays.push_back(decoder.Array(i));
  decoder.CheckEnd();
  return arrays;
}

}  // namespace npyfast
