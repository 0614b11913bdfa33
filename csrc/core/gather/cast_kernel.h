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

// The type of a dtype's numbers, in either byte order; none if they cannot be cast.
std::optional<Number> NumberOf(const Dtype& dtype);

bool IsFloat(Number number);

// Converts `count` numbers, multiplies each by scale[i] unless `scale` is null, then adds shift[i]
// unless `shift` is null. Nothing need be aligned.
//
// REQUIRES: shift is null if scale is; the output overlaps nothing; the floating-point environment
// is the default.
using CastKernel = void (*)(const std::byte* source, size_t count, std::byte* out,
                            const std::byte* scale, const std::byte* shift) noexcept;

// The kernel for this machine; null if there is no such cast. If `to` is no float it takes neither
// scale nor shift.
CastKernel FindCastKernel(Number from, Number to);
// The kernel for any machine of this architecture, with the same results.
CastKernel FindBaselineCastKernel(Number from, Number to);

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_CAST_KERNEL_H_
