#ifndef NPYFAST_PYTHON_ARRAY_H_
#define NPYFAST_PYTHON_ARRAY_H_

#include <memory>

#include "core/source/array.h"
#include "core/source/array_source.h"

namespace npyfast::python {

// npyfast._core.Array.
struct PyArray {
  std::shared_ptr<const Array> array;
  ArraySource source = {};  // without paths for an array in memory
};

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_ARRAY_H_
