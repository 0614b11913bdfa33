#include "python/dtype.h"

#include <pybind11/stl.h>

#include <bit>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace npyfast::python {
namespace {

constexpr bool kLittle = std::endian::native == std::endian::little;

// Types from this number on are registered by other packages: NPY_USERDEF of NumPy's C API.
constexpr int kFirstUserType = 256;

// What numpy.dtype() reads: "<f4", ">M8[25s]", "|S10".
std::string SimpleString(const Dtype& dtype) {
  if (dtype.kind == 'O' || dtype.kind == 'T') return std::string(1, dtype.kind);
  std::string text(1, dtype.swapped == kLittle ? '>' : '<');
  text += dtype.kind;
  text += std::to_string(dtype.kind == 'U' ? dtype.itemsize / 4 : dtype.itemsize);
  if (!dtype.unit.empty()) text += "[" + dtype.unit + "]";
  return text;
}

py::object MakeDtype(const py::object& spec) {
  return py::module_::import("numpy").attr("dtype")(spec);
}

py::dict StructSpec(const Dtype& dtype) {
  py::list names;
  py::list formats;
  py::list offsets;
  py::list titles;
  for (const Field& field : dtype.fields) {
    names.append(field.name);
    formats.append(ToNumpy(field.dtype));
    offsets.append(field.offset);
    titles.append(field.title.empty() ? py::object(py::none()) : py::str(field.title));
  }
  py::dict spec;
  spec["names"] = names;
  spec["formats"] = formats;
  spec["offsets"] = offsets;
  spec["titles"] = titles;
  spec["itemsize"] = dtype.itemsize;
  return spec;
}

// The core's unit of a date: what stands between the brackets, "" where there are none.
std::string UnitOf(const py::dtype& dtype) {
  const auto [unit, count] = py::module_::import("numpy")
                                 .attr("datetime_data")(dtype)
                                 .cast<std::pair<std::string, int64_t>>();
  if (unit == "generic" && count == 1) return "";
  return count == 1 ? unit : std::to_string(count) + unit;
}

}  // namespace

py::dtype ToNumpy(const Dtype& dtype) {
  if (dtype.is_subarray()) {
    const py::tuple shape(py::cast(dtype.subarray_shape));
    return MakeDtype(py::make_tuple(ToNumpy(*dtype.base), shape));
  }
  if (dtype.is_structured()) return MakeDtype(StructSpec(dtype));
  return MakeDtype(py::str(SimpleString(dtype)));
}

Dtype FromNumpy(const py::dtype& dtype) {
  Dtype result;
  result.kind = 'V';
  result.itemsize = dtype.attr("itemsize").cast<int64_t>();
  if (const py::object subarray = dtype.attr("subdtype"); !subarray.is_none()) {
    const auto [base, shape] = subarray.cast<std::pair<py::dtype, std::vector<int64_t>>>();
    result.base = std::make_shared<const Dtype>(FromNumpy(base));
    result.subarray_shape = shape;
    return result;
  }
  if (const py::object names = dtype.attr("names"); !names.is_none()) {
    const py::object fields = dtype.attr("fields");
    for (const py::handle name : names) {
      // (dtype, offset) or (dtype, offset, title); a title may be any object, only text reaches a
      // field.
      const auto entry = fields[name].cast<py::tuple>();
      Field field;
      field.name = name.cast<std::string>();
      if (entry.size() > 2 && py::isinstance<py::str>(entry[2])) {
        field.title = entry[2].cast<std::string>();
      }
      field.offset = entry[1].cast<int64_t>();
      field.dtype = FromNumpy(entry[0].cast<py::dtype>());
      // NumPy lets one way to make an item of 2 GiB pass, whose size is then any.
      if (field.offset < 0 || field.dtype.itemsize > result.itemsize - field.offset)
        throw py::value_error("a field of the dtype does not lie within its items");
      result.fields.push_back(std::move(field));
    }
    result.fieldless = result.fields.empty();
    return result;
  }
  const int number = dtype.attr("num").cast<int>();
  const char kind = dtype.attr("kind").cast<std::string>()[0];
  if (dtype.attr("hasobject").cast<bool>()) {
    result.kind = kind == 'T' ? 'T' : 'O';
    return result;
  }
  if (number >= kFirstUserType) return result;
  result.kind = kind;
  result.swapped = !dtype.attr("isnative").cast<bool>();
  if (kind == 'M' || kind == 'm') result.unit = UnitOf(dtype);
  return result;
}

}  // namespace npyfast::python
