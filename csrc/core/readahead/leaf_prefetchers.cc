#include "core/readahead/leaf_prefetchers.h"

#include <algorithm>
#include <limits>
#include <set>

#include "core/os/buffer_pool.h"
#include "core/readahead/access_advice.h"
#include "core/readahead/cache_samples.h"
#include "core/readahead/recent_memory.h"

namespace npyfast {
namespace {

struct Span {
  int64_t first;
  int64_t end;
};

// The smallest interval that holds all rows of a selection.
Span SpanOf(const Selection& selection) {
  if (selection.order) return {0, static_cast<int64_t>(selection.order->rows())};
  if (selection.list != nullptr) {
    const int64_t* list = selection.list.get();
    const auto [first, last] = std::minmax_element(list, list + selection.size);
    return {*first, *last + 1};
  }
  const int64_t last = selection.start + (selection.size - 1) * selection.step;
  return {std::min(selection.start, last), std::max(selection.start, last) + 1};
}

struct Leaf {
  std::shared_ptr<const Array> array;
  size_t index;
  int64_t bytes;
};

// The leaves that have something to read, small ones first.
std::vector<Leaf> LeavesOf(const Reading& reading, const Span& span) {
  std::vector<Leaf> leaves;
  for (size_t i = 0; i < reading.leaves.size(); ++i) {
    const auto& [array, row_bytes] = reading.leaves[i];
    if (array->file_bytes() > 0 && row_bytes > 0)
      leaves.push_back({array, i, ArrayPrefetcher::SpanBytes(*array, span.first, span.end)});
  }
  std::sort(leaves.begin(), leaves.end(),
            [](const Leaf& a, const Leaf& b) { return a.bytes < b.bytes; });
  return leaves;
}

// Bytes of other arrays of this process that are read as a whole.
int64_t OtherBytes(const std::vector<Leaf>& leaves) {
  int64_t bytes = MemoryAccount::TotalBytes();
  std::set<const Array*> counted;
  for (const Leaf& leaf : leaves) {
    if (counted.insert(leaf.array.get()).second) bytes -= leaf.array->residency().memory.bytes();
  }
  return bytes;
}

// Bytes that a run delivers, or INT64_MAX.
int64_t RunBytes(const Reading& reading) {
  const ItemPlan& items = reading.items;
  int64_t bytes;
  const bool known = items.items() >= 0 &&
                     !__builtin_mul_overflow(
                         items.items(), BytesOfRows(items.max_rows(), reading.row_bytes), &bytes);
  return known ? bytes : std::numeric_limits<int64_t>::max();
}

RunFacts FactsOf(const Reading& reading, ReadaheadMode mode, const std::vector<Leaf>& leaves,
                 const Span& span) {
  const Plan& plan = reading.items.plan();
  RunFacts facts{
      .mode = mode,
      .usable_bytes = RecentUsableMemory(),
      .other_bytes = OtherBytes(leaves),
      .epoch_rows = static_cast<double>(plan.selection().size) /
                    static_cast<double>(plan.options().shard_count),
      .span_rows = span.end - span.first,
      .run_bytes = RunBytes(reading),
  };
  for (const Leaf& leaf : leaves)
    facts.leaves.push_back({.bytes = leaf.bytes, .dense_rows = leaf.array->has_dense_rows()});
  if (ResidencyMatters(facts)) {
    for (size_t i = 0; i < leaves.size(); ++i)
      facts.leaves[i].resident = SeemsResident(*leaves[i].array, span.first, span.end);
  }
  return facts;
}

// Leaves everything to the kernel.
LeafPrefetchers None(const std::vector<Leaf>& leaves) {
  LeafPrefetchers none;
  for (const Leaf& leaf : leaves) {
    ExpectRandom(*leaf.array, false);
    none.resident = none.resident && SeemsResident(*leaf.array, 0, leaf.array->rows());
  }
  return none;
}

}  // namespace

LeafPrefetchers MakePrefetchers(const Reading& reading, ReadaheadMode mode,
                                const std::shared_ptr<Statistics>& statistics) {
  const Span span = SpanOf(reading.items.plan().selection());
  const std::vector<Leaf> leaves = LeavesOf(reading, span);
  if (mode == ReadaheadMode::kOff) return None(leaves);
  const RunFacts facts = FactsOf(reading, mode, leaves, span);
  const std::vector<LeafAction> actions = DecideReadahead(facts);
  LeafPrefetchers made;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const auto& [array, index, bytes] = leaves[i];
    const LeafAction action = actions[i];
    made.resident = made.resident && facts.leaves[i].resident;
    ExpectRandom(*array, action == LeafAction::kReadRows);
    array->residency().memory.Set(IsWhole(action) ? bytes : 0);
    if (action == LeafAction::kLeaveToKernel || action == LeafAction::kNothing) continue;
    made.prefetchers.push_back(std::make_unique<ArrayPrefetcher>(
        array, index, span.first, span.end,
        IsWhole(action) ? ArrayPrefetcher::Way::kWhole : ArrayPrefetcher::Way::kRows,
        action == LeafAction::kKeepWatch, statistics));
  }
  return made;
}

}  // namespace npyfast
