#ifndef NPYFAST_CORE_OS_FORK_H_
#define NPYFAST_CORE_OS_FORK_H_

#include <cstdint>

namespace npyfast {

// How many forks lie between this process and the one that loaded the library. A thread does not
// survive fork(): whoever owns one remembers the generation it was started in, and starts over when
// it has changed. Thread-safe; costs one load.
uint64_t ForkGeneration();

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_FORK_H_
