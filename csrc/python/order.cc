#include "core/order/order.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "core/base/errors.h"
#include "core/order/block_order.h"
#include "python/gil.h"
#include "python/register.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

constexpr uint64_t kMaxRows = uint64_t{1} << 62;
// Fill computes this many rows at least, so that shorter runs are cheaper one by one.
constexpr size_t kShortRun = 8;

// The number of consecutive positions at the start of `positions`. REQUIRES: positions is not
// empty.
size_t RunLength(std::span<const uint64_t> positions) {
  size_t run = 1;
  while (run < positions.size() && positions[run] == positions[run - 1] + 1) ++run;
  return run;
}

void FillAny(const Order& order, std::span<const uint64_t> positions, int64_t* out) {
  for (const uint64_t position : positions) {
    if (position >= order.rows()) {
      throw IndexError("position " + std::to_string(position) +
                       " is not below rows = " + std::to_string(order.rows()));
    }
  }
  while (!positions.empty()) {
    const size_t run = RunLength(positions);
    if (run >= kShortRun) {
      order.Fill(positions[0], {out, run});
    } else {
      for (size_t i = 0; i < run; ++i) out[i] = static_cast<int64_t>(order(positions[i]));
    }
    positions = positions.subspan(run);
    out += run;
  }
}

py::array_t<int64_t> OrderOf(uint64_t rows, uint64_t seed, uint64_t epoch,
                             const py::array_t<uint64_t, 0>& any_positions) {
  if (rows > kMaxRows) {
    throw std::invalid_argument("rows = " + std::to_string(rows) + ": the most is 2**62");
  }
  const auto positions = py::array_t<uint64_t, py::array::c_style>::ensure(any_positions);
  if (!positions) throw py::error_already_set();
  py::array_t<int64_t> out(
      py::array::ShapeContainer(positions.shape(), positions.shape() + positions.ndim()));
  const std::span<const uint64_t> in(positions.data(), static_cast<size_t>(positions.size()));
  int64_t* const data = out.mutable_data();
  const GilReleased released;
  FillAny(Order(rows, seed, epoch), in, data);
  return out;
}

}  // namespace

void RegisterOrder(py::module_& m) {
  m.attr("ORDER_VERSION") = kOrderVersion;
  m.attr("BLOCK_ORDER_VERSION") = kBlockOrderVersion;
  m.def("order", &OrderOf, py::arg("rows"), py::arg("seed"), py::arg("epoch"),
        py::arg("positions").noconvert(),
        R"(The rows at `positions`, a uint64 array, in the order that (rows, seed, epoch) name.

The native twin of npyfast._order.order: int64 rows of the same shape, bit for bit the same.
Consecutive positions are several times faster than scattered ones.

Raises ValueError for more than 2**62 rows, IndexError for a position that is not below rows,
TypeError for positions of another dtype and for a rows, seed or epoch outside uint64.)");
}

}  // namespace npyfast::python
