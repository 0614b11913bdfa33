#ifndef NPYFAST_TESTS_CORE_SUPPORT_ITEMS_H_
#define NPYFAST_TESTS_CORE_SUPPORT_ITEMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/order/item_plan.h"

namespace npyfast::testing {

inline ItemPlan Items(const Selection& selection, const Plan::Options& options,
                      const Run& run = {}) {
  return ItemPlan(Plan(selection, options), run);
}

inline std::vector<int64_t> RowsOf(const ItemPlan& items, int64_t item) {
  std::vector<int64_t> rows(static_cast<size_t>(items.RowCount(items.At(item))));
  items.Fill(items.At(item), 0, rows);
  return rows;
}

}  // namespace npyfast::testing

#endif  // NPYFAST_TESTS_CORE_SUPPORT_ITEMS_H_
