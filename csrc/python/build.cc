#include <pybind11/pybind11.h>

#include "python/register.h"

#ifndef NPYFAST_FLAGS
#define NPYFAST_FLAGS ""
#endif
#ifndef NPYFAST_BUILD_TYPE
#define NPYFAST_BUILD_TYPE ""
#endif
#ifndef NPYFAST_VERSION
#define NPYFAST_VERSION ""
#endif

namespace npyfast::python {
namespace {

namespace py = pybind11;

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#elif defined(__GNUC__)
constexpr const char* kCompiler = "gcc " __VERSION__;
#else
constexpr const char* kCompiler = "unknown";
#endif

}  // namespace

void RegisterBuild(py::module_& m) {
  m.attr("VERSION") = NPYFAST_VERSION;
  m.attr("COMPILER") = kCompiler;
  m.attr("FLAGS") = NPYFAST_FLAGS;
  m.attr("BUILD_TYPE") = NPYFAST_BUILD_TYPE;
}

}  // namespace npyfast::python
