#ifndef NPYFAST_CORE_STREAM_STREAM_OPTIONS_H_
#define NPYFAST_CORE_STREAM_STREAM_OPTIONS_H_

#include <climits>
#include <cstdint>
#include <memory>

#include "core/base/stream_counters.h"
#include "core/readahead/readahead_policy.h"

namespace npyfast {

struct StreamOptions {
  int threads = 1;                 // at work at once, the reader's among them
  int64_t ahead_bytes = 16 << 20;  // made ahead, unless a single item for each thread is more
  int64_t ahead_items = 1024;      // and no more items than this
  ReadaheadMode readahead = ReadaheadMode::kOff;
  std::shared_ptr<Statistics> statistics = std::make_shared<Statistics>();
  int cpus = INT_MAX;  // no more threads than this where none of them waits for a disk
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_STREAM_OPTIONS_H_
