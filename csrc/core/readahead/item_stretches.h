#ifndef NPYFAST_CORE_READAHEAD_ITEM_STRETCHES_H_
#define NPYFAST_CORE_READAHEAD_ITEM_STRETCHES_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/order/item_plan.h"
#include "core/readahead/file_ranges.h"

namespace npyfast {

// Calls visit() with the rows of an item, each a stretch of its own, some thousands at a time: an
// item may have any number of rows. Ends when visit() returns false.
template <typename Visit>
void ForEachStretchesOf(const ItemPlan& items, int64_t item, const Visit& visit) {
  constexpr int64_t kRowsTogether = 4096;
  const Item place = items.At(item);
  const int64_t rows = items.RowCount(place);
  std::vector<int64_t> numbers;
  std::vector<RowStretch> stretches;
  for (int64_t next = 0; next < rows; next += std::ssize(numbers)) {
    numbers.resize(static_cast<size_t>(std::min(rows - next, kRowsTogether)));
    items.Fill(place, next, numbers);
    stretches.clear();
    for (const int64_t row : numbers) stretches.push_back({row, 1});
    if (!visit(stretches)) return;
  }
}

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_ITEM_STRETCHES_H_
