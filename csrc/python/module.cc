#include "python/register.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The native core of npyfast.";
  npyfast::python::RegisterErrors(m);
  npyfast::python::RegisterHeader(m);
  npyfast::python::RegisterOrder(m);
  npyfast::python::RegisterArray(m);
  npyfast::python::RegisterStatistics(m);
  npyfast::python::RegisterStream(m);
  npyfast::python::RegisterBuild(m);
}
