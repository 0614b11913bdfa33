#include "core/readahead/leaf_prefetchers.h"

#include <algorithm>
#include <limits>
#include <set>

#include "core/os/buffer_pool.h"
#include "core/os/page_size.h"
#include "core/os/recent_limits.h"
#include "core/readahead/access_advice.h"
#include "core/readahead/cache_samples.h"
#include "core/readahead/chunks.h"
#include "core/readahead/direct_sizes.h"
#include "core/readahead/file_ranges.h"
#include "core/readahead/row_file_share.h"
#include "core/readahead/settings.h"

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
  int64_t outside_bytes;  // of the array's other rows, that are resident for other readers
};

// Of the chunks that stay in memory, those of rows that this run does not read: of the validation
// part, say, while it reads the training part.
int64_t ResidentOutside(const Array& array, const Span& span) {
  const ResidentChunks& resident = array.residency().resident;
  if (!resident.IsPrepared()) return 0;  // nobody has a part of it
  const Chunks chunks(array);
  const Chunks::Interval own = chunks.OfRows(array, span.first, span.end);
  return resident.CountOutside(own.first, own.end) * Chunks::kBytes;
}

// The leaves that have something to read, small ones first.
std::vector<Leaf> LeavesOf(const Reading& reading, const Span& span) {
  std::vector<Leaf> leaves;
  for (size_t i = 0; i < reading.leaves.size(); ++i) {
    const auto& [array, row_bytes, row_file_cache] = reading.leaves[i];
    if (array->file_bytes() > 0 && row_bytes > 0)
      leaves.push_back({array, i, ArrayPrefetcher::SpanBytes(*array, span.first, span.end),
                        ResidentOutside(*array, span)});
  }
  std::sort(leaves.begin(), leaves.end(),
            [](const Leaf& a, const Leaf& b) { return a.bytes < b.bytes; });
  return leaves;
}

// Bytes of this process's other data that stays in memory.
int64_t OtherBytes(const std::vector<Leaf>& leaves) {
  int64_t bytes = MemoryAccount::TotalBytes();
  std::set<const Array*> counted;
  for (const Leaf& leaf : leaves) {
    if (counted.insert(leaf.array.get()).second)
      bytes += leaf.outside_bytes - leaf.array->residency().memory.bytes();
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
      .usable_bytes = std::min(RecentUsableMemory(), MemoryLimit()),
      .other_bytes = OtherBytes(leaves),
      .epoch_rows = static_cast<double>(plan.selection().size) /
                    static_cast<double>(plan.options().shard_count),
      .span_rows = span.end - span.first,
      .run_bytes = RunBytes(reading),
      .by_stretches = ByStretches(plan),
  };
  for (const Leaf& leaf : leaves) {
    const RowRuns runs = RunsOf(*leaf.array, 0);
    facts.leaves.push_back({.bytes = leaf.bytes,
                            .rows_in_runs = runs.AreWorthwhile(),
                            .row_bytes = runs.count * (runs.bytes + PageBytes())});
  }
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

// Which leaves are read directly: whether each one is, and the memory for their rows.
struct DirectChoice {
  std::vector<bool> leaves;
  DirectSizes sizes = {};
};

// Whether rows that are not dense can be read by themselves: rows in file order share their blocks,
// and so do those whose bytes lie among those of many others.
bool HasRowsOfTheirOwn(const Reading& reading, const Leaf& leaf) {
  constexpr int64_t kMostOfOthers = 64;  // bytes read for one that is needed
  const RowRuns runs = RunsOf(*leaf.array, 0);
  return !ByStretches(reading.items.plan()) &&
         runs.count * runs.bytes / kMostOfOthers <= reading.leaves[leaf.index].row_bytes;
}

DirectChoice ChooseDirect(const Reading& reading, const std::vector<Leaf>& leaves,
                          const RunFacts& facts, const std::vector<LeafAction>& actions) {
  DirectChoice choice{std::vector<bool>(leaves.size(), false)};
  if (!DirectReadMethod() || !DirectReadsPay(facts, actions)) return choice;
  // Large rows that are not dense may take too much of the memory: then the others alone.
  for (const bool only_dense : {false, true}) {
    std::vector<DirectLeaf> direct;
    for (size_t i = 0; i < leaves.size(); ++i) {
      const auto& [array, index, bytes, outside_bytes] = leaves[i];
      choice.leaves[i] =
          actions[i] == LeafAction::kReadRows &&
          (array->has_dense_rows() || (!only_dense && HasRowsOfTheirOwn(reading, leaves[i]))) &&
          DirectFile::Open(array->file(0)) != nullptr;
      if (choice.leaves[i]) direct.push_back({array, index});
    }
    if (direct.empty()) break;
    choice.sizes = SizesFor(reading.items, direct, facts.usable_bytes);
    if (choice.sizes.slots > 0) return choice;
  }
  choice.leaves.assign(leaves.size(), false);
  return choice;
}

// The part of a leaf that stays in memory; null if there is none.
std::unique_ptr<ArrayPrefetcher> MakePart(const Leaf& leaf, const Span& span, int64_t bytes,
                                          const std::shared_ptr<Statistics>& statistics) {
  const int64_t rows = bytes > 0 ? bytes / leaf.array->row_stride() : 0;
  const int64_t end = std::min(span.first + rows, span.end);
  leaf.array->residency().memory.Set(leaf.outside_bytes + (rows > 0 ? bytes : 0));
  if (rows == 0) return nullptr;
  return std::make_unique<ArrayPrefetcher>(leaf.array, leaf.index, span.first, end,
                                           ArrayPrefetcher::Way::kPart,
                                           SeemsResident(*leaf.array, span.first, end), statistics);
}

}  // namespace

LeafPrefetchers MakePrefetchers(const Reading& reading, ReadaheadMode mode,
                                const std::shared_ptr<Statistics>& statistics) {
  const Span span = SpanOf(reading.items.plan().selection());
  const std::vector<Leaf> leaves = LeavesOf(reading, span);
  if (mode == ReadaheadMode::kOff) {
    ShareRowFiles(reading, {.mode = mode});
    return None(leaves);
  }
  const RunFacts facts = FactsOf(reading, mode, leaves, span);
  const std::vector<LeafAction> actions = DecideReadahead(facts);
  const DirectChoice direct = ChooseDirect(reading, leaves, facts, actions);
  std::vector<bool> dense_direct = direct.leaves;  // only they have resident parts
  for (size_t i = 0; i < leaves.size(); ++i)
    dense_direct[i] = dense_direct[i] && leaves[i].array->has_dense_rows();
  const std::vector<int64_t> resident_bytes =
      ResidentBytes(facts, actions, dense_direct, direct.sizes.bytes());
  LeafPrefetchers made;
  made.direct_sizes = direct.sizes;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const auto& [array, index, bytes, outside_bytes] = leaves[i];
    const LeafAction action = actions[i];
    made.resident = made.resident && facts.leaves[i].resident;
    ExpectRandom(*array, action == LeafAction::kReadRows);
    array->residency().memory.Set(outside_bytes + (IsWhole(action) ? bytes : 0));
    if (direct.leaves[i]) {
      made.direct.push_back({array, index});
      if (auto part = MakePart(leaves[i], span, resident_bytes[i], statistics))
        made.prefetchers.push_back(std::move(part));
      continue;
    }
    if (action == LeafAction::kLeaveToKernel || action == LeafAction::kNothing) continue;
    made.prefetchers.push_back(std::make_unique<ArrayPrefetcher>(
        array, index, span.first, span.end,
        IsWhole(action) ? ArrayPrefetcher::Way::kWhole : ArrayPrefetcher::Way::kRows,
        action == LeafAction::kKeepWatch, statistics));
  }
  ShareRowFiles(reading, facts);
  return made;
}

}  // namespace npyfast
