#include "core/os/resource_limits.h"

#include <pybind11/pybind11.h>

#include <optional>

#include "core/os/async_reader.h"
#include "core/readahead/settings.h"
#include "python/register.h"

namespace npyfast::python {

namespace {

const char* DirectReads() {
  const std::optional<ReadMethod> best = DirectReadMethod();
  return best ? ReadMethodName(MethodFrom(*best)) : "off";
}

}  // namespace

void RegisterResourceLimits(pybind11::module_& m) {
  m.def("usable_cpus", &UsableCpus, "CPUs this process may use: affinity and cgroup quota.");
  m.def("direct_reads", &DirectReads, "How data larger than memory is read directly, or off.");
  m.def("usable_memory", &UsableMemory, "Bytes of memory this process may fill.");
}

}  // namespace npyfast::python
