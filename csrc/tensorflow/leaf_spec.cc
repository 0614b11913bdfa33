#include "tensorflow/leaf_spec.h"

#include <string_view>
#include <utility>

#include "core/base/errors.h"
#include "core/npy/header.h"
#include "core/source/array_source.h"
#include "tensorflow/open_arrays.h"
#include "tensorflow/status.h"

namespace npyfast::tf {
namespace {

// Reads an attribute into a value of its type.
struct Reader {
  const Attributes& attributes;

  void operator()(const char* name, int64_t& value) const { value = attributes.Int(name); }
  void operator()(const char* name, std::vector<int64_t>& values) const {
    values = attributes.Ints(name);
  }
  void operator()(const char* name, std::vector<std::string>& values) const {
    values = attributes.Strings(name);
  }
};

Header HeaderOf(std::string_view bytes, const char* attribute) {
  try {
    return ParseHeader(bytes);
  } catch (const FormatError&) {
    Malformed(attribute);
  }
}

std::vector<ArrayFiles> ReadArrayFiles(const Attributes& attributes) {
  EncodedArrays encoded;
  EncodedArrays::ForEach(encoded, Reader{attributes});
  try {
    return Decode(encoded);
  } catch (const FormatError& error) {
    Malformed(error.what());
  }
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

std::shared_ptr<const Array> LeafSpec::View(const std::shared_ptr<const std::byte>& data,
                                            int64_t bytes) const {
  std::shared_ptr<const Array> array;
  try {
    array = ViewMemory(files.source, data, bytes);
  } catch (const FormatError& error) {
    Malformed(error.what());
  }
  CheckExpected(*array, files, name);
  return array;
}

std::vector<LeafSpec> ReadLeafSpecs(const Attributes& attributes) {
  std::vector<ArrayFiles> arrays = ReadArrayFiles(attributes);
  std::vector<std::string> casts = attributes.Strings("casts");
  std::vector<std::string> scales = attributes.Strings("scales");
  std::vector<std::string> shifts = attributes.Strings("shifts");
  for (auto* list : {&casts, &scales, &shifts}) {
    if (list->empty()) list->resize(arrays.size());  // an older graph
    if (list->size() != arrays.size()) Malformed("casts");
  }
  std::vector<LeafSpec> leaves;
  for (size_t i = 0; i < arrays.size(); ++i) {
    LeafSpec& leaf = leaves.emplace_back();
    leaf.files = std::move(arrays[i]);
    leaf.name = leaf.in_memory() ? kMemoryName : leaf.files.source.paths[0];
    if (casts[i].empty()) continue;
    leaf.cast = {HeaderOf(casts[i], "casts").dtype, OperandOf(scales[i], "scales"),
                 OperandOf(shifts[i], "shifts")};
  }
  return leaves;
}

}  // namespace npyfast::tf
