#include "python/array.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/source/array_source.h"
#include "python/dtype.h"
#include "python/gil.h"
#include "python/owned.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

using Kind = ArraySource::Kind;

std::vector<std::string> Names(const std::vector<py::bytes>& paths) {
  return {paths.begin(), paths.end()};
}

std::unique_ptr<PyArray> Open(ArraySource source, bool map_now,
                              std::span<const FileStamp> stamps = {}) {
  const GilReleased released;  // opening may wait for a disk or a network
  const auto map = map_now ? Array::Map::kNow : Array::Map::kWhenRead;
  std::shared_ptr<const Array> array = OpenArray(source, stamps, map);
  return std::make_unique<PyArray>(PyArray{std::move(array), std::move(source)});
}

// npyfast._backends.row_view.ViewNumbers: window, stride, and the slice's start, stop and step.
using ViewNumbers =
    std::tuple<std::vector<int64_t>, std::vector<int64_t>, int64_t, int64_t, int64_t>;

std::unique_ptr<PyArray> OpenFiles(const std::vector<py::bytes>& paths, bool map_now,
                                   const ViewNumbers& view) {
  return Open(
      {.kind = Kind::kNpyFiles, .paths = Names(paths), .view = std::make_from_tuple<RowView>(view)},
      map_now);
}

std::unique_ptr<PyArray> OpenRowFiles(const std::vector<py::bytes>& paths) {
  return Open({.kind = Kind::kRowFiles, .paths = Names(paths)}, false);
}

// npyfast._backends.file_status.FileState.
using StateNumbers = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>;

// Path, header of a .npy file that describes the data, offset of the data, and state of each file.
std::unique_ptr<PyArray> OpenExtents(
    const std::vector<std::tuple<py::bytes, py::bytes, int64_t, StateNumbers>>& extents,
    bool map_now, const ViewNumbers& view) {
  ArraySource source{.kind = Kind::kExtents, .view = std::make_from_tuple<RowView>(view)};
  std::vector<FileStamp> stamps;
  for (const auto& [path, header, data_offset, state] : extents) {
    source.paths.emplace_back(path);
    source.headers.emplace_back(header);
    source.offsets.push_back(data_offset);
    stamps.push_back(std::make_from_tuple<FileStamp>(state));
  }
  return Open(std::move(source), map_now, stamps);
}

std::unique_ptr<PyArray> ViewMemory(const py::array& memory, const ViewNumbers& view) {
  if (memory.ndim() == 0) throw py::value_error("a 0-dimensional array has no rows");
  const std::vector<int64_t> shape(memory.shape(), memory.shape() + memory.ndim());
  const std::vector<int64_t> strides(memory.strides(), memory.strides() + memory.ndim());
  auto data = OwnMemory<const std::byte>(memory, static_cast<const std::byte*>(memory.data()));
  ArraySource source{.view = std::make_from_tuple<RowView>(view)};
  std::shared_ptr<const Array> array =
      Array::View(std::move(data), FromNumpy(memory.dtype()), shape, strides, source.view);
  return std::make_unique<PyArray>(PyArray{std::move(array), std::move(source)});
}

// Of npyfast._backends.interface.Storage.
const char* StorageKind(const PyArray& self) {
  if (self.array->row_files() != nullptr) return "row files";
  return self.source.paths.empty() ? "memory" : "mapped";
}

// The path of each file that has rows, and how many.
py::list Parts(const PyArray& self) {
  py::list parts;
  const auto add = [&parts](const std::string& path, int64_t rows) {
    parts.append(py::make_tuple(py::bytes(path), rows));
  };
  if (self.array->row_files() != nullptr) {
    for (const std::string& path : self.source.paths) add(path, 1);
  } else if (!self.source.paths.empty()) {
    const std::vector<FileRows>& files = self.array->file_rows();
    for (size_t i = 0; i < files.size(); ++i) add(self.array->file(i).path(), files[i].rows);
  }
  return parts;
}

// The name of the op's array in errors.
py::bytes Name(const PyArray& self) {
  return self.source.paths.empty() ? kMemoryName : self.source.paths[0];
}

py::object ToPython(int64_t number) { return py::int_(number); }
py::object ToPython(const std::vector<int64_t>& numbers) { return py::cast(numbers); }
py::object ToPython(const std::vector<std::string>& texts) {
  py::list list;
  for (const std::string& text : texts) list.append(py::bytes(text));
  return list;
}

// Header of a .npy file, offset and strides of an array in memory.
using MemoryLayout = std::tuple<py::bytes, int64_t, std::vector<int64_t>>;

// What the TensorFlow op needs to open these arrays, by the names of its attributes. `memory`: of
// each array in memory.
py::dict EncodeArrays(const std::vector<const PyArray*>& arrays,
                      const std::vector<MemoryLayout>& memory) {
  std::vector<ArrayFiles> files;
  size_t next = 0;
  for (const PyArray* each : arrays) {
    const Array& array = *each->array;
    files.push_back({each->source, array.stamps(), array.row_type(), array.rows()});
    ArraySource& source = files.back().source;
    if (!source.paths.empty()) continue;
    const auto& [header, offset, strides] = memory.at(next++);
    source.kind = Kind::kMemory;
    source.headers = {std::string(header)};
    source.offsets = {offset};
    source.strides = strides;
  }
  py::dict attributes;
  EncodedArrays encoded = Encode(files);
  EncodedArrays::ForEach(encoded, [&attributes](const char* name, const auto& value) {
    attributes[name] = ToPython(value);
  });
  return attributes;
}

}  // namespace

void RegisterArray(py::module_& m) {
  py::class_<PyArray>(m, "Array", "Rows of .npy files or of an array in memory.")
      .def_static("open", &OpenFiles, py::arg("paths"), py::arg("map_now"), py::arg("view"))
      .def_static("open_extents", &OpenExtents, py::arg("extents"), py::arg("map_now"),
                  py::arg("view"))
      .def_static("open_row_files", &OpenRowFiles, py::arg("paths"))
      .def_static("view", &ViewMemory, py::arg("memory"), py::arg("view"))
      .def_property_readonly("rows", [](const PyArray& self) { return self.array->rows(); })
      .def_property_readonly("has_dense_rows",
                             [](const PyArray& self) { return self.array->has_dense_rows(); })
      .def_property_readonly("file_bytes",
                             [](const PyArray& self) { return self.array->file_bytes(); })
      .def_property_readonly(
          "row_shape",
          [](const PyArray& self) { return py::tuple(py::cast(self.array->row_shape())); })
      .def_property_readonly("storage", &StorageKind)
      .def_property_readonly("parts", &Parts)
      .def_property_readonly("name", &Name)
      .def("check_files",
           [](const PyArray& self) {
             const GilReleased released;
             self.array->CheckFiles();
           })
      .def_property_readonly("dtype",
                             [](const PyArray& self) { return ToNumpy(self.array->dtype()); });
  m.def("encode_arrays", &EncodeArrays, py::arg("arrays"), py::arg("memory"));
}

}  // namespace npyfast::python
