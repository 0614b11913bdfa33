#ifndef NPYFAST_PYTHON_GIL_H_
#define NPYFAST_PYTHON_GIL_H_

#include <Python.h>
#include <unistd.h>

namespace npyfast::python {

// Python before 3.14 ends a thread that runs Python code, or asks for the GIL, after the
// interpreter has ended, as a daemon thread may. It does so by unwinding the stack, which ends the
// process at the first frame of C++ that lets no exception pass. Code that catches this unwinding
// must call WaitForTheEnd(), which does what Python 3.14 does.
[[noreturn]] inline void WaitForTheEnd() {
  for (;;) ::pause();
}

// Releases the GIL while it exists, as py::gil_scoped_release does, but survives the end of the
// interpreter. REQUIRES: the GIL.
class GilReleased {
 public:
  GilReleased() : thread_(PyEval_SaveThread()) {}
  ~GilReleased() {
    try {
      PyEval_RestoreThread(thread_);
    } catch (...) {
      WaitForTheEnd();
    }
  }
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;

 private:
  PyThreadState* const thread_;
};

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_GIL_H_
