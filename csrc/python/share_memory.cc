#include <pybind11/numpy.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "python/owned.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

// DLPack, version 0: https://dmlc.github.io/dlpack. The names are ours, the layout is not.
struct DLTensor {
  void* data;
  int32_t device_type;
  int32_t device_id;
  int32_t dimensions;
  uint8_t type_code;
  uint8_t type_bits;
  uint16_t type_lanes;
  int64_t* shape;
  int64_t* strides;  // null: dense
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
constexpr int32_t kCpu = 1;
constexpr uint8_t kUnsigned = 1;
constexpr const char* kName = "dltensor";  // until someone has taken it

struct Shared {
  DLManagedTensor managed{};
  int64_t bytes = 0;
  std::shared_ptr<const std::byte> memory;  // NumPy's own capsules would take the GIL to drop it
};

void Delete(DLManagedTensor* managed) { delete static_cast<Shared*>(managed->context); }

void DeleteCapsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, kName) == 0) return;
  Delete(static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, kName)));
}

// A DLPack capsule of the bytes from the first item of an array to the last one, without a copy,
// and where in them the item with index (0, 0, ...) begins. The taker may drop them on any thread.
//
// The bytes have any alignment. Eigen wants 64 bytes, so no op of TensorFlow may compute with them;
// NpyfastBatch copies from them only. To begin earlier would send other memory of this process,
// whatever it holds, to other processes. REQUIRES: the array has items.
py::tuple ShareMemory(const py::array& memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  uintptr_t begin = address;
  uintptr_t end = address + static_cast<uintptr_t>(memory.itemsize());
  for (py::ssize_t axis = 0; axis < memory.ndim(); ++axis) {
    const py::ssize_t last = (memory.shape(axis) - 1) * memory.strides(axis);
    (last < 0 ? begin : end) += static_cast<uintptr_t>(last);
  }
  auto shared = std::make_unique<Shared>();
  shared->bytes = static_cast<int64_t>(end - begin);
  shared->memory = OwnMemory<const std::byte>(memory, reinterpret_cast<const std::byte*>(begin));
  shared->managed.tensor = {.data = reinterpret_cast<void*>(begin),
                            .device_type = kCpu,
                            .device_id = 0,
                            .dimensions = 1,
                            .type_code = kUnsigned,
                            .type_bits = 8,
                            .type_lanes = 1,
                            .shape = &shared->bytes,
                            .strides = nullptr,
                            .byte_offset = 0};
  shared->managed.context = shared.get();
  shared->managed.deleter = Delete;
  PyObject* made = PyCapsule_New(&shared->managed, kName, DeleteCapsule);
  if (made == nullptr) throw py::error_already_set();
  static_cast<void>(shared.release());
  return py::make_tuple(py::reinterpret_steal<py::object>(made),
                        static_cast<int64_t>(address - begin));
}

}  // namespace

void RegisterShareMemory(py::module_& m) {
  m.def("share_memory", &ShareMemory, py::arg("memory"),
        "A DLPack capsule of the bytes of an array, and the offset of its first item.");
}

}  // namespace npyfast::python
