#ifndef NPYFAST_PYTHON_DTYPE_H_
#define NPYFAST_PYTHON_DTYPE_H_

#include <pybind11/numpy.h>

#include "core/npy/dtype.h"

// Between the core's dtypes and NumPy's. Both need the GIL.
namespace npyfast::python {

// The numpy.dtype equal to `dtype`. FromNumpy(ToNumpy(dtype)) is `dtype` again.
pybind11::dtype ToNumpy(const Dtype& dtype);

// The core's dtype for any numpy.dtype, with its offsets, gaps, titles, byte orders and units. A
// type that is not NumPy's own, such as ml_dtypes.bfloat16, becomes a void of its size: bytes to
// copy.
Dtype FromNumpy(const pybind11::dtype& dtype);

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_DTYPE_H_
