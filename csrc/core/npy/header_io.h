#ifndef NPYFAST_CORE_NPY_HEADER_IO_H_
#define NPYFAST_CORE_NPY_HEADER_IO_H_

#include <cstdint>
#include <span>
#include <string>

#include "core/npy/header.h"
#include "core/os/file.h"

namespace npyfast {

// The header of a .npy file; `bytes`, if given, gets it as it lies there, up to the data.
// Throws OsError; FormatError naming the file.
Header ReadHeader(const OpenFile& file, std::string* bytes = nullptr);

// That the dtype holds no Python objects, and that the file is long enough for what the header
// says. Throws ObjectDtypeError and FormatError naming the file.
void CheckData(const OpenFile& file, const Header& header);

// Throws ObjectDtypeError for a dtype that holds Python objects; `name` is what they are of.
void RefuseObjects(const std::string& name, const Dtype& dtype);

// That two of the files that make up one array go together: the same dtype, and the same shape.
// `shape_name` is what an error calls it ("row shape"), `way_out` how it ends if it is not the
// same. Throws Error naming both.
struct Alike {
  const char* shape_name;
  const char* way_out = "";
};
void CheckAlike(const Alike& names, const std::string& first_path, const Dtype& first_dtype,
                std::span<const int64_t> first_shape, const std::string& path, const Dtype& dtype,
                std::span<const int64_t> shape);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_HEADER_IO_H_
