#ifndef NPYFAST_PYTHON_ERRORS_H_
#define NPYFAST_PYTHON_ERRORS_H_

#include <exception>

namespace npyfast::python {

// Sets the Python error for a C++ exception. The one place that maps errors: pybind11 calls it for
// its functions, slots of the C API call it themselves. REQUIRES: the GIL.
void SetPythonError(const std::exception_ptr& error);

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_ERRORS_H_
