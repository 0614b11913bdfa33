#include "core/order/plan.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "python/owned.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

using RowNumbers = py::array_t<int64_t, py::array::c_style>;

Plan MakePlan(int64_t start, int64_t step, int64_t size, const std::optional<RowNumbers>& list,
              const std::optional<std::pair<uint64_t, uint64_t>>& order, int64_t batch_size,
              std::optional<uint64_t> seed,
              const std::optional<std::pair<int64_t, int64_t>>& blocks, int64_t shard_index,
              int64_t shard_count, bool drop_remainder) {
  Selection selection{start, step, size};
  if (list) selection.list = OwnMemory<const int64_t[]>(*list, list->data());
  if (order) selection.order.emplace(order->first, order->second, kSplitEpoch);
  const Plan::Options options{
      .batch_size = batch_size,
      .shuffle = seed.has_value(),
      .seed = seed.value_or(0),
      .blocks = blocks ? BlockSizes{blocks->first, blocks->second} : BlockSizes{},
      .shard_index = shard_index,
      .shard_count = shard_count,
      .drop_remainder = drop_remainder};
  return Plan(selection, options);
}

}  // namespace

void RegisterPlan(py::module_& m) {
  py::class_<Plan>(m, "Plan", "Which rows make up each batch of each epoch.")
      .def(py::init(&MakePlan), py::kw_only(), py::arg("start"), py::arg("step"), py::arg("size"),
           py::arg("list").noconvert(), py::arg("order") = py::none(), py::arg("batch_size"),
           py::arg("seed"), py::arg("blocks"), py::arg("shard_index"), py::arg("shard_count"),
           py::arg("drop_remainder"))
      .def_property_readonly("batches", &Plan::batches)
      .def("rows", [](const Plan& self, uint64_t epoch, int64_t batch) {
        RowNumbers rows(self.BatchRows(batch));
        self.Fill(epoch, batch, {rows.mutable_data(), static_cast<size_t>(rows.size())});
        return rows;
      });
}

}  // namespace npyfast::python
