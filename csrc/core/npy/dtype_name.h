#ifndef NPYFAST_CORE_NPY_DTYPE_NAME_H_
#define NPYFAST_CORE_NPY_DTYPE_NAME_H_

#include <cstdint>
#include <span>
#include <string>

#include "core/npy/dtype.h"

namespace npyfast {

// A dtype as a person reads it in a message: "uint8", ">f4", "[('x', 'float32'), ('n', 'int64')]".
std::string DtypeName(const Dtype& dtype);

// A shape as Python has it: "(2, 3)", "(2,)".
std::string ShapeText(std::span<const int64_t> shape);

// Whether two dtypes have the same items: kinds, sizes, byte orders, units, and fields of the same
// names at the same places. Titles, which are names for people, do not count.
bool SameDtype(const Dtype& a, const Dtype& b);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_DTYPE_NAME_H_
