#include "core/npy/header.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string_view>

#include "python/dtype.h"
#include "python/register.h"

namespace py = pybind11;

namespace npyfast::python {
namespace {

std::string_view View(const py::bytes& bytes) { return bytes; }

// ((major, minor), shape, dtype, fortran_order, data_offset)
py::tuple ParseHeaderBytes(const py::bytes& data) {
  const Header header = ParseHeader(View(data));
  return py::make_tuple(py::make_tuple(header.major, header.minor),
                        py::tuple(py::cast(header.shape)), ToNumpy(header.dtype),
                        header.fortran_order, header.data_offset);
}

}  // namespace

void RegisterHeader(py::module_& m) {
  m.attr("PREFIX_BYTES") = kPrefixBytes;
  m.def(
      "header_bytes", [](const py::bytes& prefix) { return HeaderBytes(View(prefix)); },
      py::arg("prefix"),
      "Bytes from the start of a .npy file up to its data, from its first PREFIX_BYTES bytes.");
  m.def("parse_header", &ParseHeaderBytes, py::arg("data"),
        "(version, shape, dtype, fortran_order, data_offset), from the first header_bytes() bytes "
        "of a .npy file.");
}

}  // namespace npyfast::python
