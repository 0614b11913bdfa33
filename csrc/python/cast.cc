#include "core/gather/cast.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "python/array.h"
#include "python/dtype.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

std::optional<Operand> OperandOf(const std::optional<py::array>& array) {
  if (!array) return std::nullopt;
  const auto* items = static_cast<const std::byte*>(array->data());
  return Operand{{array->shape(), array->shape() + array->ndim()},
                 {items, items + array->nbytes()}};
}

// From an array's rows, of the shape in which they come out. REQUIRES: scale and shift are dense,
// in native byte order and of the dtype `to`.
std::shared_ptr<Cast> MakeCast(const PyArray& source, const py::dtype& to,
                               const std::vector<int64_t>& row_shape,
                               const std::optional<py::array>& scale,
                               const std::optional<py::array>& shift) {
  return std::make_shared<Cast>(source.array->dtype(), FromNumpy(to), row_shape, OperandOf(scale),
                                OperandOf(shift));
}

}  // namespace

void RegisterCast(py::module_& m) {
  py::class_<Cast, std::shared_ptr<Cast>>(m, "Cast", "How rows of one number type become another.")
      .def(py::init(&MakeCast), py::arg("array"), py::arg("to"), py::arg("row_shape"),
           py::arg("scale"), py::arg("shift"));
}

}  // namespace npyfast::python
