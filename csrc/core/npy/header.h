#ifndef NPYFAST_CORE_NPY_HEADER_H_
#define NPYFAST_CORE_NPY_HEADER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/npy/dtype.h"

// The header of a .npy file. Pure: bytes in, Header out; no file is touched and nothing is
// evaluated. What numpy.lib.format reads is read, to the same shape, dtype, order and offset, and
// what it refuses is refused, but for the differences that header.cc lists. All of it is
// thread-safe, and touches no Python object.
namespace npyfast {

// Enough of a file's first bytes for HeaderBytes: the magic string, the version, the longest length
// field.
inline constexpr int64_t kPrefixBytes = 12;

// Upper bound of what HeaderBytes returns: kMaxHeaderCharacters of at most four bytes each.
inline constexpr int64_t kMaxHeaderCharacters = 10000;
inline constexpr int64_t kMaxHeaderBytes = kPrefixBytes + 4 * kMaxHeaderCharacters;

struct Header {
  int major = 1;
  int minor = 0;
  // No entry is negative. The number of elements, and their bytes, fit int64_t.
  std::vector<int64_t> shape;
  // May hold Python objects (Dtype::has_objects()), which whoever opens the array refuses; never a
  // sub-array.
  Dtype dtype;
  bool fortran_order = false;
  // Where the data begins: HeaderBytes() of the same file.
  int64_t data_offset = 0;

  int64_t elements() const;
  // Bytes of the data: elements() * dtype.itemsize.
  int64_t data_bytes() const { return elements() * dtype.itemsize; }
};

// Bytes from the start of the file up to the data: at most kMaxHeaderBytes.
//
// REQUIRES: prefix holds the first kPrefixBytes of the file, or all of a shorter one.
// Throws FormatError: not .npy, unknown version, a header larger than the cap.
int64_t HeaderBytes(std::string_view prefix);

// REQUIRES: bytes holds the first HeaderBytes() bytes of the file, or all of a shorter one.
// Throws FormatError naming what is wrong; the file's name is the caller's to add.
Header ParseHeader(std::string_view bytes);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_HEADER_H_
