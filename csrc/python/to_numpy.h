#ifndef NPYFAST_PYTHON_TO_NUMPY_H_
#define NPYFAST_PYTHON_TO_NUMPY_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <vector>

#include "core/os/buffer_pool.h"

namespace npyfast::python {

// One column in NumPy: its dtype, and the shape of a row.
struct ColumnSpec {
  pybind11::dtype dtype;
  std::vector<int64_t> shape;

  int64_t row_bytes() const;
};

// A NumPy array of shape (*leading, *spec.shape) that owns `buffer`: it goes back to the pool when
// the last reference to the array, or to a view of it, is gone. REQUIRES: the GIL.
// Throws error_already_set.
pybind11::object ToNumpyArray(Buffer buffer, const ColumnSpec& spec,
                              std::span<const int64_t> leading);

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_TO_NUMPY_H_
