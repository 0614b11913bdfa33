#ifndef NPYFAST_CORE_READAHEAD_CACHE_SAMPLES_H_
#define NPYFAST_CORE_READAHEAD_CACHE_SAMPLES_H_

#include <cstdint>

#include "core/source/array.h"

namespace npyfast {

// Whether all of these rows seem to be in memory, judged by a sample of their pages. A positive
// answer holds for a second without another look. `if_unknown` is the answer where the system does
// not tell. Thread-safe. REQUIRES: the array was opened from files; first_row < end_row.
bool SeemsResident(const Array& array, int64_t first_row, int64_t end_row, bool if_unknown = false);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_CACHE_SAMPLES_H_
