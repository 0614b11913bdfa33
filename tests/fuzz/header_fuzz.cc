#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/errors.h"
#include "core/header.h"

// A libFuzzer target: whatever the bytes, the parser returns a Header that keeps its promises, or
// throws FormatError.
//
//   cmake -B build -DNPYFAST_BUILD_FUZZERS=ON -DCMAKE_CXX_COMPILER=clang++ && cmake --build build
//   build/header_fuzz -max_len=2000 CORPUS
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const npyfast::Header header = npyfast::ParseHeader(bytes);
    const bool sound = header.data_offset == npyfast::HeaderBytes(bytes) &&
                       header.data_offset <= npyfast::kMaxHeaderBytes && header.data_bytes() >= 0 &&
                       header.elements() >= 0 && !header.dtype.is_subarray();
    if (!sound) __builtin_trap();
  } catch (const npyfast::FormatError&) {
    // What is expected of nearly every input.
  }
  return 0;
}
