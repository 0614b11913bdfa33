#include "python/to_numpy.h"

#include <array>

#include "core/npy/shape.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

constexpr const char* kCapsuleName = "npyfast.Buffer";

void ReleaseCapsule(PyObject* capsule) {
  auto* block = static_cast<std::byte*>(PyCapsule_GetPointer(capsule, kCapsuleName));
  if (block != nullptr) BufferPool::Shared().Release(block);
}

}  // namespace

int64_t ColumnSpec::row_bytes() const { return ElementCount(shape, dtype.itemsize()).value_or(-1); }

py::object ToNumpyArray(Buffer buffer, const ColumnSpec& spec, std::span<const int64_t> leading) {
  // The C API rather than py::array: this is called for every batch, and the strides, vectors and
  // checks that py::array makes take longer than the copy of a small batch.
  const auto& numpy = py::detail::npy_api::get();
  std::array<Py_intptr_t, kMaxDimensions> shape;
  size_t dimensions = 0;
  if (leading.size() + spec.shape.size() > shape.size())
    throw py::value_error("more dimensions than a NumPy array can have");
  for (const int64_t count : leading) shape[dimensions++] = count;
  for (const int64_t count : spec.shape) shape[dimensions++] = count;

  std::byte* data = buffer.get();
  const auto capsule =
      py::reinterpret_steal<py::object>(PyCapsule_New(data, kCapsuleName, ReleaseCapsule));
  if (!capsule) throw py::error_already_set();
  static_cast<void>(buffer.release());  // now the capsule's

  constexpr int kFlags = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ |
                         py::detail::npy_api::NPY_ARRAY_ALIGNED_ |
                         py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  auto array = py::reinterpret_steal<py::object>(numpy.PyArray_NewFromDescr_(
      numpy.PyArray_Type_, spec.dtype.inc_ref().ptr(), static_cast<int>(dimensions), shape.data(),
      nullptr, data, kFlags, nullptr));
  if (!array) throw py::error_already_set();
  if (numpy.PyArray_SetBaseObject_(array.ptr(), capsule.inc_ref().ptr()) != 0)
    throw py::error_already_set();
  return array;
}

}  // namespace npyfast::python
