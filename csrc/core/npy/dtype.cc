#include "core/npy/dtype.h"

#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "core/base/errors.h"
#include "core/npy/header.h"

namespace npyfast {
namespace {

// NumPy's limit on the bytes of an item, and on a dimension of a sub-array.
constexpr int64_t kMaxItemsize = std::numeric_limits<int32_t>::max();

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
  int64_t items = 1;
  bool too_large = false;
  for (const int64_t n : shape) {
    if (n < 0 || n > kMaxItemsize) {
      throw FormatError("a sub-array in the dtype has the impossible dimension " +
                        std::to_string(n));
    }
    // Like NumPy: a zero excuses what comes after it, and not what came before.
    if (items != 0 && __builtin_mul_overflow(items, n, &items)) too_large = true;
  }
  Dtype array;
  array.kind = 'V';
  if (too_large || items > kMaxItemsize ||
      __builtin_mul_overflow(items, base.itemsize, &array.itemsize) ||
      array.itemsize > kMaxItemsize) {
    throw FormatError("a sub-array in the dtype takes 2 GiB or more");
  }
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

}  // namespace npyfast
