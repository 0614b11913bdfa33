#ifndef NPYFAST_CORE_READAHEAD_ROW_FILE_SHARE_H_
#define NPYFAST_CORE_READAHEAD_ROW_FILE_SHARE_H_

#include "core/readahead/readahead_policy.h"
#include "core/readahead/reading.h"

namespace npyfast {

// Decides for each leaf whose rows are files how many of them stay in the page cache: all, if those
// of an epoch fit in the memory that is left; else as many as fit. None where they are read in the
// order of the array, which keeps the cache for other files, or where readahead is by rows.
void ShareRowFiles(const Reading& reading, const RunFacts& facts);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_ROW_FILE_SHARE_H_
