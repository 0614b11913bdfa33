#ifndef NPYFAST_PYTHON_GATHER_H_
#define NPYFAST_PYTHON_GATHER_H_

#include <memory>
#include <vector>

#include "core/gather/gather.h"
#include "python/to_numpy.h"

namespace npyfast::python {

// npyfast._core.Gather: how the rows of one array come out in NumPy.
struct PyGather {
  std::shared_ptr<const Gather> gather;
  std::vector<ColumnSpec> columns;
};

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_GATHER_H_
