#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/errors.h"
#include "core/gather/column_layout.h"
#include "core/gather/gather.h"
#include "core/npy/header.h"
#include "core/npy/shape.h"
#include "core/source/array.h"

// A libFuzzer target: whatever the bytes, the parser returns a Header that keeps its promises, or
// throws FormatError. What is computed from such a header takes memory by the bytes that the header
// has, not by those that it promises: run it under a limit, as CONTRIBUTING.md has it.
//
//   cmake -B build -DNPYFAST_BUILD_FUZZERS=ON -DCMAKE_CXX_COMPILER=clang++ && cmake --build build
//   build/header_fuzz -max_len=2000 -malloc_limit_mb=16 -rss_limit_mb=2048 CORPUS
namespace npyfast {
namespace {

// Bytes of an array that is small enough to be made and read.
constexpr int64_t kSmall = 4096;

void Require(bool sound) {
  if (!sound) __builtin_trap();
}

size_t Count(const std::vector<Swap>& swaps) {
  size_t count = swaps.size();
  for (const Swap& swap : swaps) count += Count(swap.inner);
  return count;
}

// Reads the first and the last row of an array of zeros into blocks of just the size they need.
void GatherFrom(const Header& header, std::span<const int64_t> strides, Fields fields) {
  const std::vector<std::byte> memory(static_cast<size_t>(header.data_bytes()));
  const Gather gather(Array::View(memory.data(), header.dtype, header.shape, strides), fields);
  const std::vector<int64_t> rows = {0, header.shape[0] - 1};
  std::vector<std::vector<std::byte>> columns;
  std::vector<std::byte*> out;
  for (size_t c = 0; c < gather.columns(); ++c) {
    columns.emplace_back(2 * static_cast<size_t>(gather.row_bytes(c)), std::byte{1});
    out.push_back(columns.back().data());
  }
  gather.Rows(rows, out.data());
  if (fields == Fields::kTogether)  // not even what lies between fields is left as it was
    Require(std::ranges::all_of(columns[0], [](std::byte byte) { return byte == std::byte{0}; }));
}

void Compute(const Header& header, size_t size) {
  // Names are no longer than the header, but for the brackets around them.
  Require(DtypeName(header.dtype).size() <= 64 * size &&
          ShapeText(header.shape).size() <= 2 * size);
  Require(SameDtype(header.dtype, header.dtype));
  if (header.shape.empty()) return;
  const std::vector<int64_t> row_shape(header.shape.begin() + 1, header.shape.end());
  for (const bool fortran_order : {false, true}) {
    const auto strides = DenseStrides(header.shape, header.dtype.itemsize, fortran_order);
    for (const Fields fields : {Fields::kTogether, Fields::kApart}) {
      const std::vector<Column> columns =
          MakeColumns(header.dtype, row_shape, std::span(strides).subspan(1), fields);
      Require(columns.size() <= size);
      for (const Column& column : columns) {
        Require(Count(column.swaps) <= size && column.axes.size() <= size);
        Require(column.row_bytes >= 0 && !column.overlapping);
      }
      if (header.shape[0] > 0 && header.data_bytes() <= kSmall && !header.dtype.has_objects())
        GatherFrom(header, strides, fields);
    }
  }
}

}  // namespace
}  // namespace npyfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const npyfast::Header header = npyfast::ParseHeader(bytes);
    npyfast::Require(header.data_offset == npyfast::HeaderBytes(bytes) &&
                     header.data_offset <= npyfast::kMaxHeaderBytes && header.data_bytes() >= 0 &&
                     header.elements() >= 0 && !header.dtype.is_subarray());
    npyfast::Compute(header, size);
  } catch (const npyfast::FormatError&) {
    // What is expected of nearly every input.
  }
  return 0;
}
