#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <tuple>

#include "core/base/stream_counters.h"
#include "python/register.h"

namespace npyfast::python {

namespace py = pybind11;

void RegisterStatistics(py::module_& m) {
  py::class_<Statistics, std::shared_ptr<Statistics>>(m, "Statistics",
                                                      "Counters that streams share.")
      .def(py::init<>())
      // A few loads: not worth releasing the GIL.
      .def("counters", [](const Statistics& self) { return std::tuple_cat(self.Counters()); });
}

}  // namespace npyfast::python
