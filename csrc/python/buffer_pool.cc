#include "core/os/buffer_pool.h"

#include <pybind11/pybind11.h>

#include "python/register.h"

namespace npyfast::python {

namespace py = pybind11;

void RegisterBufferPool(py::module_& m) {
  m.def(
      "pool_bytes",
      [] {
        const BufferPool& pool = BufferPool::Shared();
        return py::make_tuple(pool.used_bytes(), pool.free_bytes());
      },
      "Bytes of batch memory in use, and bytes kept for the next batches.");
}

}  // namespace npyfast::python
