#include "core/readahead/row_file_share.h"

#include <algorithm>

#include "core/os/page_size.h"
#include "core/readahead/direct_sizes.h"
#include "core/readahead/settings.h"

namespace npyfast {
namespace {

// Of a file, beyond its bytes: a part of a page at its end, a header, an inode, a directory entry.
constexpr int64_t kFileBytes = 2048;

int64_t FileBytes(const Array& array) {
  return array.row_files()->row_bytes() + PageBytes() / 2 + kFileBytes;
}

}  // namespace

void ShareRowFiles(const Reading& reading, const RunFacts& facts) {
  const Plan& plan = reading.items.plan();
  const bool by_hints = !DirectReadMethod() || facts.mode == ReadaheadMode::kOff ||
                        facts.mode == ReadaheadMode::kWhole;
  for (const Reading::Leaf& leaf : reading.leaves) {
    if (leaf.row_file_cache == nullptr) continue;
    const double bytes = facts.epoch_rows * static_cast<double>(FileBytes(*leaf.array));
    const auto others =
        static_cast<double>(MemoryAccount::TotalBytes() - leaf.row_file_cache->bytes());
    const double left = BytesForArrays(facts.usable_bytes) - others;
    double share = 1;
    if (!by_hints && bytes > left) {
      const bool parts = facts.mode == ReadaheadMode::kAuto && !ByStretches(plan);
      share = parts ? std::max(left / bytes, 0.0) : 0;
    }
    leaf.row_file_cache->Keep(share, static_cast<int64_t>(share * bytes));
  }
}

}  // namespace npyfast
