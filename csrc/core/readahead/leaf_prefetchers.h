#ifndef NPYFAST_CORE_READAHEAD_LEAF_PREFETCHERS_H_
#define NPYFAST_CORE_READAHEAD_LEAF_PREFETCHERS_H_

#include <memory>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/readahead/array_prefetcher.h"
#include "core/readahead/direct_leaf.h"
#include "core/readahead/direct_sizes.h"
#include "core/readahead/readahead_policy.h"
#include "core/readahead/reading.h"

namespace npyfast {

struct LeafPrefetchers {
  // Small leaves first. None for leaves that are in memory and likely to stay there, and for those
  // that the kernel reads best.
  std::vector<std::unique_ptr<ArrayPrefetcher>> prefetchers = {};
  // Leaves that are read past the page cache, by DirectRows. The parts of them
  // that stay resident are among the prefetchers.
  std::vector<DirectLeaf> direct = {};
  DirectSizes direct_sizes = {};
  // Whether all rows of the run are in memory, as far as was looked.
  bool resident = true;
};

// Gathers the facts, has DecideReadahead() decide, and acts on it. With kOff there are no
// prefetchers. REQUIRES: the run has rows.
LeafPrefetchers MakePrefetchers(const Reading& reading, ReadaheadMode mode,
                                const std::shared_ptr<Statistics>& statistics);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_LEAF_PREFETCHERS_H_
