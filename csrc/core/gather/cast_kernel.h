#ifndef NPYFAST_CORE_GATHER_CAST_KERNEL_H_
#define NPYFAST_CORE_GATHER_CAST_KERNEL_H_

#include <cstddef>
#include <optional>

#include "core/npy/dtype.h"

namespace npyfast {

// The types of number that can be cast.
enum class Number {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kHalf,
  kBfloat16,
  kFloat,
  kDouble,
  kLongDouble,
};

// Which one the items of a dtype are, in whatever byte order; none for all other dtypes.
std::optional<Number> NumberOf(const Dtype& dtype);

bool IsFloat(Number number);

// Converts `count` numbers one by one, multiplies them by scale[i] unless `scale` is null, then
// adds shift[i] unless `shift` is null, which it is where `scale` is. Nothing need be aligned; the
// output overlaps nothing.
using CastKernel = void (*)(const std::byte* source, size_t count, std::byte* out,
                            const std::byte* scale, const std::byte* shift) noexcept;

// The kernel for this machine; null where there is no such cast. Where `to` is no float it takes
// neither scale nor shift. REQUIRES, when it is called: the default floating-point environment.
CastKernel FindCastKernel(Number from, Number to);
// The one that runs on any machine of this architecture, to the same results.
CastKernel FindBaselineCastKernel(Number from, Number to);

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_CAST_KERNEL_H_
