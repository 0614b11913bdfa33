#include "core/npy/header_io.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/errors.h"
#include "core/base/text.h"
#include "core/npy/shape.h"

namespace npyfast {
namespace {

// Headers are rarely longer, and nothing shorter than a page is read anyway.
constexpr size_t kUsualHeaderBytes = 4096;

}  // namespace

Header ReadHeader(const OpenFile& file, std::string* bytes) {
  try {
    std::string start = file.Start(kUsualHeaderBytes);
    const auto wanted =
        static_cast<size_t>(HeaderBytes(std::string_view(start).substr(0, kPrefixBytes)));
    if (wanted > kUsualHeaderBytes) start = file.Start(wanted);
    if (wanted < start.size()) start.resize(wanted);
    Header header = ParseHeader(start);
    if (bytes != nullptr) *bytes = std::move(start);
    return header;
  } catch (const FormatError& e) {
    throw FormatError(file.path() + ": not a readable .npy file: " + e.what());
  }
}

void RefuseObjects(const std::string& name, const Dtype& dtype) {
  if (!dtype.has_objects()) return;
  throw ObjectDtypeError(name +
                         ": holds Python objects (dtype object), which npyfast never unpickles; "
                         "save the array with a numeric or fixed-length string dtype");
}

void CheckData(const OpenFile& file, const Header& header) {
  RefuseObjects(file.path(), header.dtype);
  const int64_t held = std::max<int64_t>(file.stamp().size - header.data_offset, 0);
  if (held >= header.data_bytes()) return;
  throw FormatError(file.path() + ": holds " + Grouped(held) +
                    " bytes of data, its header promises " + Grouped(header.data_bytes()) + " " +
                    ShapeText(header.shape) + " " + DtypeName(header.dtype) +
                    ": the file is truncated; copy it again");
}

void CheckAlike(const Alike& names, const std::string& first_path, const Dtype& first_dtype,
                std::span<const int64_t> first_shape, const std::string& path, const Dtype& dtype,
                std::span<const int64_t> shape) {
  const auto refuse = [&](const std::string& what, const std::string& first,
                          const std::string& other) {
    throw Error("the files of one array must have one " + what + ": " + first_path + " has " +
                first + ", " + path + " has " + other);
  };
  if (!SameDtype(dtype, first_dtype)) refuse("dtype", DtypeName(first_dtype), DtypeName(dtype));
  if (!std::equal(shape.begin(), shape.end(), first_shape.begin(), first_shape.end()))
    refuse(names.shape_name, ShapeText(first_shape), ShapeText(shape) + names.way_out);
}

}  // namespace npyfast
