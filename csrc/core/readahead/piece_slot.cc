#include "core/readahead/piece_slot.h"

#include <algorithm>

namespace npyfast {

void FindRows(std::span<const PlacedRows> placed, std::span<const int64_t> rows, int64_t row_stride,
              std::span<const std::byte*> addresses) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto after =
        std::upper_bound(placed.begin(), placed.end(), rows[i],
                         [](int64_t row, const PlacedRows& some) { return row < some.first; });
    addresses[i] = nullptr;
    if (after == placed.begin()) continue;
    const PlacedRows& before = *(after - 1);
    const int64_t within = rows[i] - before.first;
    if (within < before.rows) addresses[i] = before.at + within * row_stride;
  }
}

}  // namespace npyfast
