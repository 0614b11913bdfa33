#include "core/npy/shape.h"

#include <algorithm>

namespace npyfast {

std::optional<int64_t> CheckedProduct(std::span<const int64_t> counts, int64_t factor) {
  int64_t product = 1;
  for (const int64_t count : counts) {
    if (__builtin_mul_overflow(product, count, &product)) return std::nullopt;
  }
  if (__builtin_mul_overflow(product, factor, &product)) return std::nullopt;
  return product;
}

std::optional<int64_t> ElementCount(std::span<const int64_t> shape, int64_t itemsize) {
  if (std::ranges::find(shape, 0) != shape.end()) return 0;
  if (itemsize == 0) return 0;
  return CheckedProduct(shape, itemsize);
}

std::vector<int64_t> DenseStrides(std::span<const int64_t> shape, int64_t itemsize,
                                  bool fortran_order) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = itemsize;
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t axis = fortran_order ? i : shape.size() - 1 - i;
    strides[axis] = stride;
    // Overflows only if the array has no elements, so that nothing is read by the stride.
    if (__builtin_mul_overflow(stride, std::max<int64_t>(shape[axis], 1), &stride)) stride = 0;
  }
  return strides;
}

std::string ShapeText(std::span<const int64_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace npyfast
