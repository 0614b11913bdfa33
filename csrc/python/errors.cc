#include "python/errors.h"

#include <new>

#include "core/base/errors.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

PyObject* format_error = nullptr;

// Messages name files, whose names need not be UTF-8.
void SetMessage(PyObject* type, const char* message) {
  if (PyObject* text = PyUnicode_DecodeFSDefault(message); text != nullptr) {
    PyErr_SetObject(type, text);
    Py_DECREF(text);
  }
}

}  // namespace

void SetPythonError(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (py::error_already_set& e) {
    e.restore();
  } catch (const OsError& e) {
    PyObject* reason = PyUnicode_DecodeFSDefault(e.reason().c_str());
    PyObject* path = PyUnicode_DecodeFSDefault(e.path().c_str());
    if (reason != nullptr && path != nullptr) {
      // OSError picks the subclass by the code.
      PyObject* made = PyObject_CallFunction(PyExc_OSError, "iOO", e.code(), reason, path);
      if (made != nullptr) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made)), made);
      Py_XDECREF(made);
    }
    Py_XDECREF(reason);
    Py_XDECREF(path);
  } catch (const FormatError& e) {
    SetMessage(format_error, e.what());
  } catch (const ObjectDtypeError& e) {
    SetMessage(PyExc_TypeError, e.what());
  } catch (const IndexError& e) {
    SetMessage(PyExc_IndexError, e.what());
  } catch (const Error& e) {
    SetMessage(PyExc_ValueError, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    SetMessage(PyExc_RuntimeError, e.what());
  }
}

void RegisterErrors(py::module_&) {
  // Never destroyed: errors of a module must outlive everything that may throw them.
  const py::object type = py::module_::import("npyfast._errors").attr("NpyFormatError");
  format_error = type.inc_ref().ptr();
  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const Error&) {
      SetPythonError(error);
    }  // the rest is pybind11's own, and goes on to it
  });
}

}  // namespace npyfast::python
