#include "core/os/resource_limits.h"

#include <pybind11/pybind11.h>

#include "python/register.h"

namespace npyfast::python {

void RegisterResourceLimits(pybind11::module_& m) {
  m.def("usable_cpus", &UsableCpus, "CPUs this process may use: affinity and cgroup quota.");
  m.def("usable_memory", &UsableMemory, "Bytes of memory this process may fill.");
}

}  // namespace npyfast::python
