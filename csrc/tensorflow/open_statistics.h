#ifndef NPYFAST_TENSORFLOW_OPEN_STATISTICS_H_
#define NPYFAST_TENSORFLOW_OPEN_STATISTICS_H_

#include <cstdint>
#include <memory>

#include "core/base/stream_counters.h"

// The counters of the datasets of this process, each under the number that its op has as an
// attribute. Python opens and closes them as datasets come and go; a kernel that runs on keeps its
// own. Thread-safe.
namespace npyfast::tf {

// New counters under a number. Throws std::bad_alloc.
void OpenStatistics(int64_t number);
void CloseStatistics(int64_t number);

// The counters of a number; null if it has none.
std::shared_ptr<Statistics> FindStatistics(int64_t number);

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_OPEN_STATISTICS_H_
