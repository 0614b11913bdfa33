#ifndef NPYFAST_PYTHON_ARRAY_H_
#define NPYFAST_PYTHON_ARRAY_H_

#include <memory>

#include "core/source/array.h"

namespace npyfast::python {

// npyfast._core.Array.
struct PyArray {
  std::shared_ptr<const Array> array;
};

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_ARRAY_H_
