#ifndef NPYFAST_CORE_NPY_SHAPE_H_
#define NPYFAST_CORE_NPY_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

// Arithmetic with shapes. Pure and thread-safe. No entry of a shape is negative.
namespace npyfast {

// The most dimensions that NumPy 2 allows.
inline constexpr size_t kMaxDimensions = 64;

// Multiplies the counts in their order, and then by `factor`; nullopt as soon as the product
// exceeds int64_t. A zero therefore excuses the counts after it, but not those before it: NumPy's
// rule for sub-arrays and TensorFlow's for shapes.
std::optional<int64_t> CheckedProduct(std::span<const int64_t> counts, int64_t factor = 1);

// The number of elements of an array, times `itemsize`; nullopt if it exceeds int64_t. Zero if any
// dimension is zero, however large the others are.
std::optional<int64_t> ElementCount(std::span<const int64_t> shape, int64_t itemsize = 1);

// Bytes from one item to the next along each axis of a dense array. Unspecified for an array
// without elements.
//
// REQUIRES: the array has no elements, or its bytes fit int64_t.
std::vector<int64_t> DenseStrides(std::span<const int64_t> shape, int64_t itemsize,
                                  bool fortran_order);

// A shape as Python writes it: "(2, 3)", "(2,)".
std::string ShapeText(std::span<const int64_t> shape);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_SHAPE_H_
