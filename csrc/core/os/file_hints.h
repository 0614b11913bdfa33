#ifndef NPYFAST_CORE_OS_FILE_HINTS_H_
#define NPYFAST_CORE_OS_FILE_HINTS_H_

#include <cstdint>

namespace npyfast {

// What a system can be told and asked about the cached pages of an open file. A system that has
// nothing like it refuses, or does not know. Used within os only; thread-safe.

// Reads of this descriptor are in no order: read nothing but what they ask for.
void HintRandom(int fd);
// Starts reading a range. Returns whether the system has taken the hint.
bool HintWillNeed(int fd, int64_t offset, int64_t bytes);
// Drops the cached pages of a range that no mapping holds.
void HintDontNeed(int fd, int64_t offset, int64_t bytes);

// How many pages of a range are cached; negative if the system does not say.
int64_t CachedPages(int fd, int64_t offset, int64_t bytes);
// Whether the page of a byte is cached: 1 or 0, negative if the system does not say. Whether or not
// it is, the system may start reading it.
int IsCached(int fd, int64_t offset);

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_FILE_HINTS_H_
