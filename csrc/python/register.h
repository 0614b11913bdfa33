#ifndef NPYFAST_PYTHON_REGISTER_H_
#define NPYFAST_PYTHON_REGISTER_H_

#include <pybind11/pybind11.h>

// One function for each file of bindings; module.cc calls them all.
namespace npyfast::python {

void RegisterArray(pybind11::module_& m);
void RegisterBufferPool(pybind11::module_& m);
void RegisterBuild(pybind11::module_& m);
void RegisterCast(pybind11::module_& m);
void RegisterErrors(pybind11::module_& m);
void RegisterGather(pybind11::module_& m);
void RegisterHeader(pybind11::module_& m);
void RegisterOrder(pybind11::module_& m);
void RegisterPlan(pybind11::module_& m);
void RegisterResourceLimits(pybind11::module_& m);
void RegisterShareMemory(pybind11::module_& m);
void RegisterStatistics(pybind11::module_& m);
void RegisterStream(pybind11::module_& m);

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_REGISTER_H_
