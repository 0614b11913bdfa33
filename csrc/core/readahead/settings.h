#ifndef NPYFAST_CORE_READAHEAD_SETTINGS_H_
#define NPYFAST_CORE_READAHEAD_SETTINGS_H_

#include <cstdint>
#include <optional>

#include "core/os/async_reader.h"

namespace npyfast {

// Settings of the whole process, in environment variables. They are read when a stream is made, by
// the thread that makes it: others may be at work while a program changes its environment.

// NPYFAST_DIRECT_READS: the best method for direct reads, or none if they are switched off. Throws
// Error if it is set to anything but auto, off, io_uring, aio or threads.
std::optional<ReadMethod> DirectReadMethod();

// NPYFAST_MEMORY: the most memory that data may take, in bytes, or with a unit as in 8GiB or 500MB;
// INT64_MAX if it is not set. Throws Error if it is anything else.
int64_t MemoryLimit();

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_SETTINGS_H_
