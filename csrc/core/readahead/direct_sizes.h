#ifndef NPYFAST_CORE_READAHEAD_DIRECT_SIZES_H_
#define NPYFAST_CORE_READAHEAD_DIRECT_SIZES_H_

#include <cstdint>
#include <vector>

#include "core/order/item_plan.h"
#include "core/readahead/direct_leaf.h"
#include "core/readahead/piece_plan.h"

namespace npyfast {

// Whether rows come in large stretches of the file, of which only the ends touch more than their
// own bytes: in its order, or by blocks.
bool ByStretches(const Plan& plan);

// The memory of direct reads: slots for so many pieces, all of one size.
struct DirectSizes {
  int64_t piece_bytes = 0;
  int64_t slot_bytes = 0;
  int64_t read_bytes = 1;  // of one read, about
  int64_t slots = 0;       // 0: direct reads would take too much of the memory

  int64_t bytes() const { return slots * slot_bytes; }
};

// The sizes for a run: up to 32 MiB, or an eighth of the memory; two windows for blocks, if they
// take no more than half of it. REQUIRES: the leaves have dense rows, unless rows come one by one
// (ByStretches()).
DirectSizes SizesFor(const ItemPlan& items, const std::vector<DirectLeaf>& leaves,
                     int64_t usable_bytes);

// The pieces of a run with these sizes.
PiecePlan PiecesOf(const ItemPlan& items, const std::vector<DirectLeaf>& leaves,
                   const DirectSizes& sizes);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_DIRECT_SIZES_H_
