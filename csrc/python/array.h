#ifndef NPYFAST_PYTHON_ARRAY_H_
#define NPYFAST_PYTHON_ARRAY_H_

#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "core/gather/gather.h"
#include "core/source/array.h"
#include "python/to_numpy.h"

namespace npyfast::python {

// npyfast._core.Array: the core's array, and the Python object whose memory it views, if any.
struct PyArrayRows {
  std::shared_ptr<const Array> array;
  pybind11::object owner;
};

// npyfast._core.Gather: how the rows of one array come out in NumPy.
struct PyGather {
  std::shared_ptr<const Gather> gather;
  std::vector<ColumnSpec> columns;
  pybind11::object owner;
};

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_ARRAY_H_
