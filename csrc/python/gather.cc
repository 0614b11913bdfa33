#include "python/gather.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/gather/cast.h"
#include "python/array.h"
#include "python/gil.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

using RowNumbers = py::array_t<int64_t, py::array::c_style>;

std::span<const int64_t> Span(const RowNumbers& rows) {
  return {rows.data(), static_cast<size_t>(rows.size())};
}

std::unique_ptr<PyGather> MakeGather(
    const PyArray& source, bool apart,
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
  return made;
}

// 0: the default number.
int ThreadsFor(const PyGather& self, int threads) {
  return threads > 0 ? threads : UsualThreads({&self.gather, 1});
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

void RegisterGather(py::module_& m) {
  py::class_<PyGather>(m, "Gather", "Copies listed rows of an Array into dense columns.")
      .def(py::init(&MakeGather), py::arg("array"), py::arg("apart"), py::arg("columns"),
           py::arg("cast").none(true))
      .def("take", &Take, py::arg("rows").noconvert(), py::arg("threads"))
      .def("take_into", &TakeInto, py::arg("rows").noconvert(), py::arg("out").noconvert(),
           py::arg("threads"));
}

}  // namespace npyfast::python
