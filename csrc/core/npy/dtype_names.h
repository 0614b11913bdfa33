#ifndef NPYFAST_CORE_NPY_DTYPE_NAMES_H_
#define NPYFAST_CORE_NPY_DTYPE_NAMES_H_

#include <bit>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "core/npy/dtype.h"

// The words of the dtype parser: names and codes of single dtypes. Thread-safe.
namespace npyfast {

// Sizes in NumPy's dtypes are C ints.
inline constexpr int64_t kMaxDtypeInt = std::numeric_limits<int32_t>::max();

inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// isspace() of the C locale, which the program may have changed.
inline bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
inline bool IsByteOrder(char c) { return c == '<' || c == '>' || c == '=' || c == '|'; }
inline bool IsSwapped(char order) {
  return order == (std::endian::native == std::endian::little ? '>' : '<');
}

// Throws the FormatError for a string that is no dtype.
[[noreturn]] void FailDtypeString(std::string_view text);

// The dtype of a kind and a size, as in "f8"; none if NumPy has no such dtype.
std::optional<Dtype> DtypeOf(char kind, int64_t size, bool swapped);

// The dtype of a single name or code: "<f4", "float32", "?", "M8[25s]". Throws FormatError if NumPy
// knows no such name. REQUIRES: `text` is not empty.
Dtype ParseDtypeName(std::string_view text);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_DTYPE_NAMES_H_
