#ifndef NPYFAST_CORE_GATHER_NONTEMPORAL_COPY_H_
#define NPYFAST_CORE_GATHER_NONTEMPORAL_COPY_H_

#include <cstddef>

namespace npyfast {

// memcpy by stores past the cache, which save reading every line of the output first. Call
// FinishStores() before another thread learns of the output.
using PastCacheCopy = void (*)(const std::byte* source, size_t bytes, std::byte* out) noexcept;

// The fastest one for this machine; memcpy if it has no such stores.
PastCacheCopy FindPastCacheCopy();

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_NONTEMPORAL_COPY_H_
