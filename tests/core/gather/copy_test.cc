#include "core/gather/copy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/core/support/check.h"
#include "tests/core/support/naive.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::Bytes;
using testing::DtypeOf;
using testing::RandomBytes;

// Rows that begin `stride` bytes apart in random bytes, each copied to `out` and compared with what
// item by item gives, for several numbers of rows.
void CheckCopies(std::string_view descr, const std::vector<int64_t>& shape,
                 const std::vector<int64_t>& strides, int64_t first, int64_t stride) {
  const Dtype dtype = DtypeOf(descr);
  constexpr size_t kRows = 21;
  const Bytes memory = RandomBytes(1 << 16);
  for (const Fields fields : {Fields::kTogether, Fields::kApart}) {
    const std::vector<Column> columns = MakeColumns(dtype, shape, strides, fields);
    for (size_t count = 0; count <= kRows; ++count) {
      std::vector<const std::byte*> sources;
      std::vector<Bytes> wanted(columns.size());
      for (size_t i = 0; i < count; ++i) {
        // In no order, and twice at times.
        const std::byte* row = memory.data() + first + static_cast<int64_t>(i * i % 13) * stride;
        sources.push_back(row);
        std::vector<Axis> axes;
        for (size_t k = 0; k < shape.size(); ++k) axes.push_back({shape[k], strides[k]});
        size_t column = 0;
        testing::AppendRow(dtype, row, axes, fields, column, wanted);
      }
      for (size_t c = 0; c < columns.size(); ++c) {
        // Of just the size that it needs: whatever is written beyond is seen by AddressSanitizer.
        for (const Stores stores : {Stores::kCached, Stores::kPastCache}) {
          Bytes out(wanted[c].size());
          CopyColumn(columns[c], sources.data(), count, out.data(), stores);
          FinishStores();
          CHECK(out == wanted[c]);
        }
      }
    }
  }
}

TEST(Copy, EveryItemSize) {
  for (int64_t bytes = 1; bytes <= 70; ++bytes) {
    const std::string descr = "'|V" + std::to_string(bytes) + "'";
    CheckCopies(descr, {}, {}, 0, bytes);
    CheckCopies(descr, {3}, {bytes}, 0, 3 * bytes);
    CheckCopies(descr, {3}, {bytes + 5}, 0, 4 * bytes + 15);
  }
}

// As of tiles: runs of many bytes with gaps between them.
TEST(Copy, RowsOfLongRuns) {
  for (const int64_t bytes : {254, 256, 258, 1000, 5000}) {
    CheckCopies("'|u1'", {3, bytes}, {bytes + 7, 1}, 0, 500);
    CheckCopies("'>i2'", {2, 3, bytes / 2}, {5 * bytes, bytes + 2, 2}, 0, 600);
    CheckCopies("[('a', '>i2'), ('b', '|u1')]", {3, bytes}, {4 * bytes, 3}, 0, 300);
  }
}

TEST(Copy, LongRunsOfEverySizeAndAlignment) {
  const Bytes memory = RandomBytes(3 * 8192);
  for (int64_t bytes = 500; bytes < 6000; bytes += 37) {
    const std::vector<int64_t> shape = {bytes};
    const std::vector<int64_t> strides = {1};
    const std::vector<Column> columns =
        MakeColumns(DtypeOf("'|u1'"), shape, strides, Fields::kTogether);
    for (const int64_t at : {0, 1, 17, 64}) {
      const std::vector<const std::byte*> sources = {memory.data() + at, memory.data() + 8192 - at,
                                                     memory.data() + 8192 + at};
      Bytes wanted(static_cast<size_t>(3 * bytes + at));
      for (int64_t i = 0; i < 3; ++i)
        std::copy_n(sources[i], bytes, wanted.data() + at + i * bytes);
      for (const Stores stores : {Stores::kCached, Stores::kPastCache}) {
        Bytes out(wanted.size());
        CopyColumn(columns[0], sources.data(), 3, out.data() + at, stores);
        FinishStores();
        CHECK(out == wanted);
      }
    }
  }
}

TEST(Copy, SwapsWordsOfEverySize) {
  for (const char* descr : {"'>i2'", "'>f2'", "'>u4'", "'>f4'", "'>i8'", "'>f8'", "'>f16'", "'>c8'",
                            "'>c16'", "'>c32'", "'>U1'", "'>U7'", "'>M8[s]'", "'>m8[ns]'"}) {
    const int64_t bytes = DtypeOf(descr).itemsize;
    CheckCopies(descr, {}, {}, 1, bytes);
    CheckCopies(descr, {5}, {bytes}, 3, 5 * bytes);
    CheckCopies(descr, {2, 3}, {bytes, 2 * bytes}, 0, 6 * bytes);
    CheckCopies(descr, {2, 3}, {-3 * bytes - 2, -bytes}, 9 * bytes + 7, 6 * bytes);
  }
}

TEST(Copy, KnowsTheBytesOfASwap) {
  const std::string bytes("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10", 16);
  const auto* source = reinterpret_cast<const std::byte*>(bytes.data());
  const auto swapped = [&](std::string_view descr) {
    const std::vector<Column> columns = MakeColumns(DtypeOf(descr), {}, {}, Fields::kTogether);
    std::string out(static_cast<size_t>(columns[0].row_bytes), '\0');
    CopyColumn(columns[0], &source, 1, reinterpret_cast<std::byte*>(out.data()));
    return out;
  };
  CHECK_EQ(swapped("'<u4'"), bytes.substr(0, 4));
  CHECK_EQ(swapped("'>u2'"), "\x02\x01");
  CHECK_EQ(swapped("'>u4'"), "\x04\x03\x02\x01");
  CHECK_EQ(swapped("'>u8'"), "\x08\x07\x06\x05\x04\x03\x02\x01");
  CHECK_EQ(swapped("'>c8'"), "\x04\x03\x02\x01\x08\x07\x06\x05");
  CHECK_EQ(swapped("'>U2'"), "\x04\x03\x02\x01\x08\x07\x06\x05");
  CHECK_EQ(swapped("'>f16'"), std::string(bytes.rbegin(), bytes.rend()));
  CHECK_EQ(swapped("[('a', '|u1'), ('b', '>u2'), ('c', '<u2')]"), "\x01\x03\x02\x04\x05");
}

TEST(Copy, RecordsAndSubarrays) {
  CheckCopies("[('a', '>u2'), ('b', '|u1'), ('c', '<f8')]", {4}, {11}, 0, 44);
  CheckCopies("[('a', '>u2'), ('b', '|u1'), ('c', '<f8')]", {4}, {-11}, 33, 44);
  CheckCopies("[('a', '>u2'), ('', '|V3'), ('b', '>u4', (2, 3))]", {3, 2}, {29, 90}, 0, 200);
  CheckCopies("[('p', [('x', '>f4', (3,)), ('y', [('z', '|b1'), ('w', '>c8')], (2,))], (2, 2))]",
              {2}, {120}, 0, 240);
  CheckCopies("[('e', '<f4', (0,)), ('s', '|S3'), ('n', '>U0'), ('u', '>U2')]", {2}, {11}, 0, 22);
  CheckCopies("[('', '|V4')]", {2}, {4}, 0, 8);
}

TEST(Copy, AnyStrides) {
  CheckCopies("'<f4'", {3, 4, 2}, {4, 12, 48}, 0, 96);     // Fortran order
  CheckCopies("'<f4'", {3, 4, 2}, {-64, 16, 4}, 256, 96);  // one axis upside down
  CheckCopies("'<f4'", {3, 4}, {0, 4}, 0, 16);             // broadcast
  CheckCopies("'<f4'", {3, 4}, {4, 0}, 0, 16);
  CheckCopies("'<f4'", {3, 4}, {16, 4}, 0, 0);  // all rows the same
  CheckCopies("'<f4'", {3, 4}, {16, 4}, 60000, -100);
  CheckCopies("'|u1'", {1300}, {1}, 0, 1300);
  CheckCopies("'|u1'", {1300}, {2}, 0, 3000);
}

TEST(Copy, NothingFromRowsOfNothing) {
  CheckCopies("'<f4'", {0}, {4}, 0, 0);
  CheckCopies("'<f4'", {3, 0, 2}, {0, 8, 4}, 0, 0);
  CheckCopies("'|V0'", {3}, {0}, 0, 0);
  // Not even the addresses are followed.
  const std::vector<int64_t> shape = {0};
  const std::vector<int64_t> strides = {4};
  const std::vector<Column> columns =
      MakeColumns(DtypeOf("'<f4'"), shape, strides, Fields::kTogether);
  const std::vector<const std::byte*> nowhere(20, nullptr);
  CopyColumn(columns[0], nowhere.data(), nowhere.size(), nullptr);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
