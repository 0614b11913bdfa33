#include "python/register.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native core of npyfast.";
  npyfast::python::RegisterErrors(m);
  npyfast::python::RegisterBuild(m);
  npyfast::python::RegisterResourceLimits(m);
  npyfast::python::RegisterBufferPool(m);
  npyfast::python::RegisterHeader(m);
  npyfast::python::RegisterOrder(m);
  npyfast::python::RegisterPlan(m);
  npyfast::python::RegisterArray(m);
  npyfast::python::RegisterShareMemory(m);
  npyfast::python::RegisterCast(m);
  npyfast::python::RegisterGather(m);
  npyfast::python::RegisterStatistics(m);
  npyfast::python::RegisterStream(m);
}
