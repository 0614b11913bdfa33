#ifndef NPYFAST_CORE_READAHEAD_ACCESS_ADVICE_H_
#define NPYFAST_CORE_READAHEAD_ACCESS_ADVICE_H_

#include <cstddef>

#include "core/source/array.h"

namespace npyfast {

// Whether the kernel should expect reads in random order, and then read nothing around them; or
// read ahead by itself, as it does by default. Mappings are told of random order one by one, by
// AdviseIfRandom(), because a file may not even be mapped yet. Thread-safe.
void ExpectRandom(const Array& array, bool random);

// Tells the mapping of a file, unless it has been told, or random order is not expected.
void AdviseIfRandom(const Array& array, size_t file);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_ACCESS_ADVICE_H_
