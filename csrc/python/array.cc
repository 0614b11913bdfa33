#include "python/array.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/gather/cast.h"
#include "core/npy/header.h"
#include "python/dtype.h"
#include "python/gil.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

using RowNumbers = py::array_t<int64_t, py::array::c_style>;

std::span<const int64_t> Span(const RowNumbers& rows) {
  return {rows.data(), static_cast<size_t>(rows.size())};
}

std::unique_ptr<PyArrayRows> OpenFiles(const std::vector<py::bytes>& paths) {
  const std::vector<std::string> names(paths.begin(), paths.end());
  const GilReleased released;  // opening may wait for a disk or a network
  return std::make_unique<PyArrayRows>(PyArrayRows{Array::Open(names), {}});
}

// npyfast._file_status.FileState.
using StateNumbers = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>;

// Files of any kind: what lies in each from which byte on, as the header of a .npy file.
std::unique_ptr<PyArrayRows> OpenExtents(
    const std::vector<std::tuple<py::bytes, py::bytes, int64_t, StateNumbers>>& extents) {
  std::vector<Extent> files;
  for (const auto& [path, header, data_offset, state] : extents) {
    files.push_back(
        {path, ParseHeader(std::string_view(header)), std::make_from_tuple<FileStamp>(state)});
    files.back().header->data_offset = data_offset;
  }
  const GilReleased released;
  return std::make_unique<PyArrayRows>(PyArrayRows{Array::Open(files), {}});
}

std::unique_ptr<PyArrayRows> OpenRowFiles(const std::vector<py::bytes>& paths) {
  const std::vector<std::string> names(paths.begin(), paths.end());
  const GilReleased released;
  return std::make_unique<PyArrayRows>(PyArrayRows{Array::OpenRowFiles(names), {}});
}

std::unique_ptr<PyArrayRows> ViewMemory(const py::array& memory) {
  if (memory.ndim() == 0) throw py::value_error("a 0-dimensional array has no rows");
  const std::vector<int64_t> shape(memory.shape(), memory.shape() + memory.ndim());
  const std::vector<int64_t> strides(memory.strides(), memory.strides() + memory.ndim());
  return std::make_unique<PyArrayRows>(
      PyArrayRows{Array::View(static_cast<const std::byte*>(memory.data()),
                              FromNumpy(memory.dtype()), shape, strides),
                  memory});
}

// (device, inode, size, times of modification and of change in nanoseconds) of each file.
py::list Stamps(const PyArrayRows& self) {
  py::list stamps;
  for (const FileStamp& stamp : self.array->stamps())
    stamps.append(
        py::make_tuple(stamp.device, stamp.inode, stamp.size, stamp.modified_ns, stamp.changed_ns));
  return stamps;
}

std::unique_ptr<PyGather> MakeGather(
    const PyArrayRows& source, bool apart,
    const std::vector<std::pair<py::dtype, std::vector<int64_t>>>& columns,
    std::shared_ptr<Cast> cast) {
  auto gather = std::make_shared<Gather>(source.array, apart ? Fields::kApart : Fields::kTogether,
                                         std::move(cast));
  auto made = std::make_unique<PyGather>();
  for (const auto& [dtype, shape] : columns) made->columns.push_back({dtype, shape});
  bool fits = made->columns.size() == gather->columns();
  for (size_t i = 0; fits && i < gather->columns(); ++i)
    fits = made->columns[i].row_bytes() == gather->row_bytes(i);
  if (!fits) throw py::value_error("the columns do not describe the array's rows");
  made->gather = std::move(gather);
  made->owner = source.owner;
  return made;
}

// 0: as many as suit.
int ThreadsFor(const PyGather& self, int threads) {
  return threads > 0 ? threads : UsualThreads({&self.gather, 1});
}

std::optional<Operand> OperandOf(const std::optional<py::array>& array) {
  if (!array) return std::nullopt;
  const auto* items = static_cast<const std::byte*>(array->data());
  return Operand{{array->shape(), array->shape() + array->ndim()},
                 {items, items + array->nbytes()}};
}

// From an array's rows, of the shape in which they come out. REQUIRES: scale and shift are dense,
// in native byte order and of the dtype `to`.
std::shared_ptr<Cast> MakeCast(const PyArrayRows& source, const py::dtype& to,
                               const std::vector<int64_t>& row_shape,
                               const std::optional<py::array>& scale,
                               const std::optional<py::array>& shift) {
  return std::make_shared<Cast>(source.array->dtype(), FromNumpy(to), row_shape, OperandOf(scale),
                                OperandOf(shift));
}

// The listed rows as fresh arrays, one for each column.
py::list Take(const PyGather& self, const RowNumbers& rows, int threads) {
  const std::span<const int64_t> wanted = Span(rows);
  std::vector<int64_t> resolved(wanted.size());
  std::vector<Buffer> buffers;
  {
    const GilReleased released;
    ResolveRows(wanted, self.gather->array()->rows(), resolved);
    std::vector<std::byte*> out;
    for (size_t c = 0; c < self.columns.size(); ++c) {
      buffers.push_back(AcquireRows(std::ssize(resolved), self.gather->row_bytes(c)));
      out.push_back(buffers.back().get());
    }
    self.gather->RowsParallel(resolved, out.data(), ThreadsFor(self, threads));
    self.gather->array()->CheckFilesOf(resolved);
  }
  const auto count = static_cast<int64_t>(resolved.size());
  py::list arrays;
  for (size_t c = 0; c < self.columns.size(); ++c)
    arrays.append(ToNumpyArray(std::move(buffers[c]), self.columns[c], {&count, 1}));
  return arrays;
}

// The listed rows into `out`, which the caller has checked: C-contiguous, writeable, of the right
// dtype and shape.
void TakeInto(const PyGather& self, const RowNumbers& rows, py::array& out, int threads) {
  const std::span<const int64_t> wanted = Span(rows);
  auto* data = static_cast<std::byte*>(out.mutable_data());
  if (self.columns.size() != 1 ||
      out.nbytes() != BytesOfRows(std::ssize(wanted), self.gather->row_bytes(0))) {
    throw py::value_error("out has the wrong size");
  }
  const GilReleased released;
  std::vector<int64_t> resolved(wanted.size());
  ResolveRows(wanted, self.gather->array()->rows(), resolved);
  self.gather->RowsParallel(resolved, &data, ThreadsFor(self, threads));
  self.gather->array()->CheckFilesOf(resolved);
}

}  // namespace

void RegisterArray(py::module_& m) {
  py::class_<PyArrayRows>(m, "Array", "Rows of .npy files or of an array in memory.")
      .def_static("open", &OpenFiles, py::arg("paths"))
      .def_static("open_extents", &OpenExtents, py::arg("extents"))
      .def_static("open_row_files", &OpenRowFiles, py::arg("paths"))
      .def_static("view", &ViewMemory, py::arg("memory"))
      .def_property_readonly("rows", [](const PyArrayRows& self) { return self.array->rows(); })
      .def_property_readonly("has_dense_rows",
                             [](const PyArrayRows& self) { return self.array->has_dense_rows(); })
      .def_property_readonly("file_bytes",
                             [](const PyArrayRows& self) { return self.array->file_bytes(); })
      .def_property_readonly(
          "row_shape",
          [](const PyArrayRows& self) { return py::tuple(py::cast(self.array->row_shape())); })
      .def_property_readonly("row_type",
                             [](const PyArrayRows& self) { return self.array->row_type(); })
      .def_property_readonly("stamps", &Stamps)
      .def("check_files",
           [](const PyArrayRows& self) {
             const GilReleased released;
             self.array->CheckFiles();
           })
      .def_property_readonly("dtype",
                             [](const PyArrayRows& self) { return ToNumpy(self.array->dtype()); })
      .def_property_readonly("rows_of_shards",
                             [](const PyArrayRows& self) {
                               std::vector<int64_t> rows;
                               for (const Shard& shard : self.array->shards())
                                 rows.push_back(shard.rows);
                               return rows;
                             })
      .def_property_readonly("shards",
                             [](const PyArrayRows& self) { return self.array->shards().size(); });

  py::class_<Cast, std::shared_ptr<Cast>>(m, "Cast", "How rows of one number type become another.")
      .def(py::init(&MakeCast), py::arg("array"), py::arg("to"), py::arg("row_shape"),
           py::arg("scale"), py::arg("shift"));

  py::class_<PyGather>(m, "Gather", "Copies listed rows of an Array into dense columns.")
      .def(py::init(&MakeGather), py::arg("array"), py::arg("apart"), py::arg("columns"),
           py::arg("cast").none(true))
      .def("take", &Take, py::arg("rows").noconvert(), py::arg("threads"))
      .def("take_into", &TakeInto, py::arg("rows").noconvert(), py::arg("out").noconvert(),
           py::arg("threads"));
}

}  // namespace npyfast::python
