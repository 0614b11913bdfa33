#include "core/npy/dtype.h"

#include <bit>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "core/base/errors.h"
#include "core/npy/shape.h"

namespace npyfast {
namespace {

// NumPy's limit on the bytes of an item, and on a dimension of a sub-array.
constexpr int64_t kMaxItemsize = std::numeric_limits<int32_t>::max();

std::string SimpleName(const Dtype& dtype) {
  const bool little = (std::endian::native == std::endian::little) != dtype.swapped;
  const std::string swapped = little ? "<" : ">";
  const std::string bytes = std::to_string(dtype.itemsize);
  const std::string bits = std::to_string(8 * dtype.itemsize);
  switch (dtype.kind) {
    case 'b':
      return "bool";
    case 'i':
    case 'u':
    case 'f':
    case 'c':
      if (dtype.swapped) return swapped + dtype.kind + bytes;
      if (dtype.kind == 'i') return "int" + bits;
      if (dtype.kind == 'u') return "uint" + bits;
      return (dtype.kind == 'f' ? "float" : "complex") + bits;
    case 'M':
    case 'm':
      return swapped + dtype.kind + bytes + (dtype.unit.empty() ? "" : "[" + dtype.unit + "]");
    case 'U':
      return swapped + "U" + std::to_string(dtype.itemsize / 4);
    case 'O':
      return "object";
    default:
      return std::string("|") + dtype.kind + bytes;
  }
}

}  // namespace

bool Dtype::has_objects() const {
  if (kind == 'O' || kind == 'T') return true;
  if (base != nullptr && base->has_objects()) return true;
  for (const Field& field : fields) {
    if (field.dtype.has_objects()) return true;
  }
  return false;
}

Dtype SubarrayOf(Dtype base, std::vector<int64_t> shape) {
  if (shape.size() > kMaxDimensions) {
    throw FormatError("a sub-array in the dtype has " + std::to_string(shape.size()) +
                      " dimensions");
  }
  for (const int64_t n : shape) {
    if (n < 0 || n > kMaxItemsize) {
      throw FormatError("a sub-array in the dtype has the impossible dimension " +
                        std::to_string(n));
    }
  }
  const std::optional<int64_t> items = CheckedProduct(shape);
  const std::optional<int64_t> bytes = CheckedProduct(shape, base.itemsize);
  if (!items || *items > kMaxItemsize || !bytes || *bytes > kMaxItemsize)
    throw FormatError("a sub-array in the dtype takes 2 GiB or more");
  Dtype array;
  array.kind = 'V';
  array.itemsize = *bytes;
  array.subarray_shape = std::move(shape);
  array.base = std::make_shared<const Dtype>(std::move(base));
  return array;
}

Dtype StructOf(std::vector<Field> fields, int64_t itemsize) {
  if (itemsize > kMaxItemsize) throw FormatError("an item of the dtype takes 2 GiB or more");
  // Names and titles share one namespace: either reaches the field.
  std::set<std::string_view> taken;
  for (const Field& field : fields) {
    if (!taken.insert(field.name).second) {
      throw FormatError("the field name '" + field.name + "' occurs twice in the dtype");
    }
    if (!field.title.empty() && !taken.insert(field.title).second) {
      throw FormatError("the field title '" + field.title + "' occurs twice in the dtype");
    }
  }
  Dtype dtype;
  dtype.kind = 'V';
  dtype.itemsize = itemsize;
  dtype.fieldless = fields.empty();
  dtype.fields = std::move(fields);
  return dtype;
}

std::string DtypeName(const Dtype& dtype) {
  if (dtype.is_subarray()) {
    std::string shape;
    for (const int64_t count : dtype.subarray_shape) shape += std::to_string(count) + ", ";
    return "(" + DtypeName(*dtype.base) + ", (" + shape + "))";
  }
  if (!dtype.is_structured()) return SimpleName(dtype);
  std::string text;
  for (const Field& field : dtype.fields) {
    text += text.empty() ? "(" : ", (";
    text += "'" + field.name + "', ";
    const std::string type = DtypeName(field.dtype);
    text += field.dtype.is_structured() || field.dtype.is_subarray() ? type : "'" + type + "'";
    text += ')';
  }
  return "[" + text + "]";
}

bool SameDtype(const Dtype& a, const Dtype& b) {
  if (a.kind != b.kind || a.itemsize != b.itemsize || a.swapped != b.swapped || a.unit != b.unit ||
      a.subarray_shape != b.subarray_shape || a.is_subarray() != b.is_subarray() ||
      a.is_structured() != b.is_structured() || a.fields.size() != b.fields.size()) {
    return false;
  }
  if (a.is_subarray() && !SameDtype(*a.base, *b.base)) return false;
  for (size_t i = 0; i < a.fields.size(); ++i) {
    if (a.fields[i].name != b.fields[i].name || a.fields[i].offset != b.fields[i].offset ||
        !SameDtype(a.fields[i].dtype, b.fields[i].dtype)) {
      return false;
    }
  }
  return true;
}

}  // namespace npyfast
