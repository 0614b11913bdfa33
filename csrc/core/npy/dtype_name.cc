#include "core/npy/dtype_name.h"

#include <bit>

namespace npyfast {
namespace {

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
    text += ")";
  }
  return "[" + text + "]";
}

std::string ShapeText(std::span<const int64_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
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
