#include "python/array.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/npy/header.h"
#include "python/dtype.h"
#include "python/gil.h"
#include "python/owned.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

std::unique_ptr<PyArray> OpenFiles(const std::vector<py::bytes>& paths) {
  const std::vector<std::string> names(paths.begin(), paths.end());
  const GilReleased released;  // opening may wait for a disk or a network
  return std::make_unique<PyArray>(PyArray{Array::Open(names)});
}

// npyfast._file_status.FileState.
using StateNumbers = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>;

// Files of any kind: what lies in each from which byte on, as the header of a .npy file.
std::unique_ptr<PyArray> OpenExtents(
    const std::vector<std::tuple<py::bytes, py::bytes, int64_t, StateNumbers>>& extents) {
  std::vector<Extent> files;
  for (const auto& [path, header, data_offset, state] : extents) {
    files.push_back(
        {path, ParseHeader(std::string_view(header)), std::make_from_tuple<FileStamp>(state)});
    files.back().header->data_offset = data_offset;
  }
  const GilReleased released;
  return std::make_unique<PyArray>(PyArray{Array::Open(files)});
}

std::unique_ptr<PyArray> OpenRowFiles(const std::vector<py::bytes>& paths) {
  const std::vector<std::string> names(paths.begin(), paths.end());
  const GilReleased released;
  return std::make_unique<PyArray>(PyArray{Array::OpenRowFiles(names)});
}

std::unique_ptr<PyArray> ViewMemory(const py::array& memory) {
  if (memory.ndim() == 0) throw py::value_error("a 0-dimensional array has no rows");
  const std::vector<int64_t> shape(memory.shape(), memory.shape() + memory.ndim());
  const std::vector<int64_t> strides(memory.strides(), memory.strides() + memory.ndim());
  auto data = OwnMemory<const std::byte>(memory, static_cast<const std::byte*>(memory.data()));
  return std::make_unique<PyArray>(
      PyArray{Array::View(std::move(data), FromNumpy(memory.dtype()), shape, strides)});
}

// (device, inode, size, times of modification and of change in nanoseconds) of each file.
py::list Stamps(const PyArray& self) {
  py::list stamps;
  for (const FileStamp& stamp : self.array->stamps())
    stamps.append(
        py::make_tuple(stamp.device, stamp.inode, stamp.size, stamp.modified_ns, stamp.changed_ns));
  return stamps;
}

}  // namespace

void RegisterArray(py::module_& m) {
  py::class_<PyArray>(m, "Array", "Rows of .npy files or of an array in memory.")
      .def_static("open", &OpenFiles, py::arg("paths"))
      .def_static("open_extents", &OpenExtents, py::arg("extents"))
      .def_static("open_row_files", &OpenRowFiles, py::arg("paths"))
      .def_static("view", &ViewMemory, py::arg("memory"))
      .def_property_readonly("rows", [](const PyArray& self) { return self.array->rows(); })
      .def_property_readonly("has_dense_rows",
                             [](const PyArray& self) { return self.array->has_dense_rows(); })
      .def_property_readonly("file_bytes",
                             [](const PyArray& self) { return self.array->file_bytes(); })
      .def_property_readonly(
          "row_shape",
          [](const PyArray& self) { return py::tuple(py::cast(self.array->row_shape())); })
      .def_property_readonly("row_type", [](const PyArray& self) { return self.array->row_type(); })
      .def_property_readonly("stamps", &Stamps)
      .def("check_files",
           [](const PyArray& self) {
             const GilReleased released;
             self.array->CheckFiles();
           })
      .def_property_readonly("dtype",
                             [](const PyArray& self) { return ToNumpy(self.array->dtype()); })
      .def_property_readonly("rows_of_files", [](const PyArray& self) {
        std::vector<int64_t> rows;
        for (const FileRows& file : self.array->file_rows()) rows.push_back(file.rows);
        return rows;
      });
}

}  // namespace npyfast::python
