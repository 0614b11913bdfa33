#include "tensorflow/leaf_spec.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/errors.h"
#include "core/npy/header.h"
#include "tensorflow/status.h"

namespace npyfast::tf {
namespace {

using Kind = ArraySource::Kind;

constexpr size_t kStampNumbers = 5;  // device, inode, size, times of modification and of change

Header HeaderOf(std::string_view bytes, const char* attribute) {
  try {
    return ParseHeader(bytes);
  } catch (const FormatError&) {
    Malformed(attribute);
  }
}

// A million strings take TensorFlow seconds at each iteration, one of that length does not: entries
// hold several paths, with zeros in between.
std::vector<std::string> ReadPaths(const Attributes& attributes) {
  std::vector<std::string> paths;
  for (const std::string& joined : attributes.Strings("files")) {
    for (size_t begin = 0, end; begin <= joined.size(); begin = end + 1) {
      end = std::min(joined.find('\0', begin), joined.size());
      paths.push_back(joined.substr(begin, end - begin));
    }
  }
  return paths;
}

// From a .npy file within an attribute; none from an empty one.
std::optional<Operand> OperandOf(std::string_view file, const char* attribute) {
  if (file.empty()) return std::nullopt;
  const Header header = HeaderOf(file, attribute);
  const std::string_view data = file.substr(static_cast<size_t>(header.data_offset));
  if (static_cast<int64_t>(data.size()) != header.data_bytes() || header.dtype.swapped)
    Malformed(attribute);
  const auto* items = reinterpret_cast<const std::byte*>(data.data());
  return Operand{header.shape, {items, items + data.size()}};
}

}  // namespace

void Malformed(const std::string& what) {
  throw StatusError(TF_INVALID_ARGUMENT, "NpyfastBatch: malformed attributes: " + what);
}

std::shared_ptr<const Gather> LeafSpec::MakeGather(std::shared_ptr<const Array> array,
                                                   std::span<const int64_t> row_shape) const {
  if (!cast) return std::make_shared<Gather>(std::move(array), Fields::kApart);
  int64_t wanted = 1;
  for (const int64_t count : row_shape) wanted *= count;
  int64_t held = 1;
  for (const int64_t count : array->row_shape()) held *= count;
  if (wanted != held) Malformed("dims");
  auto made = std::make_shared<Cast>(array->dtype(), cast->to, row_shape, cast->scale, cast->shift);
  return std::make_shared<Gather>(std::move(array), Fields::kTogether, std::move(made));
}

std::vector<LeafSpec> ReadLeafSpecs(const Attributes& attributes) {
  const std::vector<std::string> paths = ReadPaths(attributes);
  const std::vector<int64_t> files = attributes.Ints("shards");
  std::vector<int64_t> kinds = attributes.Ints("kinds");
  const std::vector<std::string> headers = attributes.Strings("headers");
  const std::vector<int64_t> offsets = attributes.Ints("offsets");
  const std::vector<int64_t> stamps = attributes.Ints("stamps");
  const std::vector<std::string> row_types = attributes.Strings("row_types");
  std::vector<std::string> casts = attributes.Strings("casts");
  std::vector<std::string> scales = attributes.Strings("scales");
  std::vector<std::string> shifts = attributes.Strings("shifts");
  const size_t count = files.size();
  // Graphs of before have none of these.
  if (kinds.empty()) kinds.assign(count, 0);
  for (auto* list : {&casts, &scales, &shifts}) {
    if (list->empty()) list->resize(count);
    if (list->size() != count) Malformed("casts");
  }
  if (count == 0 || row_types.size() != count || kinds.size() != count ||
      headers.size() != offsets.size()) {
    Malformed("files");
  }
  std::vector<LeafSpec> leaves;
  size_t path = 0;
  size_t extent = 0;
  size_t stamp = 0;
  for (size_t i = 0; i < count; ++i) {
    LeafSpec leaf;
    ArraySource& source = leaf.files.source;
    if (kinds[i] < 0 || kinds[i] > 2) Malformed("kinds");
    source.kind = static_cast<Kind>(kinds[i]);
    const bool is_extents = source.kind == Kind::kExtents;
    const bool is_row_files = source.kind == Kind::kRowFiles;
    if (files[i] < 1 || static_cast<size_t>(files[i]) > paths.size() - path) Malformed("shards");
    for (int64_t k = 0; k < files[i]; ++k, ++path) {
      source.paths.push_back(paths[path]);
      if (is_extents) {
        if (extent == headers.size() || offsets[extent] < 0) Malformed("headers");
        HeaderOf(headers[extent], "headers");
        source.headers.push_back(headers[extent]);
        source.offsets.push_back(offsets[extent++]);
      }
      if (is_row_files) continue;
      if (stamps.size() < stamp + kStampNumbers) Malformed("stamps");
      const int64_t* numbers = &stamps[stamp];
      leaf.files.stamps.push_back({static_cast<uint64_t>(numbers[0]),
                                   static_cast<uint64_t>(numbers[1]), numbers[2], numbers[3],
                                   numbers[4]});
      stamp += kStampNumbers;
    }
    leaf.files.row_type = row_types[i];
    leaf.files.rows = attributes.Int("rows_of_leaf");
    if (!casts[i].empty()) {
      leaf.cast = {HeaderOf(casts[i], "casts").dtype, OperandOf(scales[i], "scales"),
                   OperandOf(shifts[i], "shifts")};
    }
    leaves.push_back(std::move(leaf));
  }
  if (path != paths.size() || extent != headers.size() || stamp != stamps.size())
    Malformed("files");
  return leaves;
}

}  // namespace npyfast::tf
