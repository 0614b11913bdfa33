#include "core/gather/column_layout.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/errors.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::DtypeOf;

std::vector<Column> Columns(std::string_view descr, const std::vector<int64_t>& shape,
                            const std::vector<int64_t>& strides,
                            Fields fields = Fields::kTogether) {
  return MakeColumns(DtypeOf(descr), shape, strides, fields);
}

Column Only(const std::vector<Column>& columns) {
  CHECK_EQ(columns.size(), 1u);
  return columns[0];
}

TEST(Layout, ADenseRowIsOneRun) {
  const Column column = Only(Columns("'<f4'", {3, 4, 5}, {80, 20, 4}));
  CHECK_EQ(column.axes.size(), 0u);
  CHECK_EQ(column.chunk_bytes, 240);
  CHECK_EQ(column.row_bytes, 240);
  CHECK_EQ(column.offset, 0);
}

TEST(Layout, ARowWithoutDimensionsIsOneItem) {
  const Column column = Only(Columns("'<f8'", {}, {}));
  CHECK_EQ(column.chunk_bytes, 8);
  CHECK_EQ(column.row_bytes, 8);
}

TEST(Layout, JoinsOnlyWhatLiesTogether) {
  // Rows of a picture that is a window of a larger one.
  Column column = Only(Columns("'|u1'", {4, 5, 3}, {100, 3, 1}));
  CHECK_EQ(column.axes.size(), 1u);
  CHECK_EQ(column.axes[0].count, 4);
  CHECK_EQ(column.axes[0].stride, 100);
  CHECK_EQ(column.chunk_bytes, 15);
  // The outer two join, the innermost does not lie together.
  column = Only(Columns("'|u1'", {4, 5, 3}, {150, 30, 10}));
  CHECK_EQ(column.axes.size(), 1u);
  CHECK_EQ(column.axes[0].count, 60);
  CHECK_EQ(column.axes[0].stride, 10);
  CHECK_EQ(column.chunk_bytes, 1);
}

TEST(Layout, ADimensionOfOneSaysNothing) {
  const Column column = Only(Columns("'<f4'", {1, 3, 1, 4}, {-7, 16, 99, 4}));
  CHECK_EQ(column.axes.size(), 0u);
  CHECK_EQ(column.chunk_bytes, 48);
}

TEST(Layout, KeepsNegativeAndZeroStrides) {
  Column column = Only(Columns("'<i2'", {3}, {-2}));
  CHECK_EQ(column.axes.size(), 1u);
  CHECK_EQ(column.axes[0].stride, -2);
  column = Only(Columns("'<i2'", {3}, {0}));
  CHECK_EQ(column.axes.size(), 1u);
  CHECK_EQ(column.row_bytes, 6);
}

TEST(Layout, ALengthOfZeroLeavesNothing) {
  const Column column = Only(Columns("'<f4'", {3, 0, 4}, {0, 16, 4}));
  CHECK_EQ(column.row_bytes, 0);
}

TEST(Layout, StridesNobodyFollowsMayOverflow) {
  const Column column =
      Only(Columns("'<f8'", {1 << 10, 1 << 20, 0}, {int64_t{1} << 43, int64_t{1} << 53, 0}));
  CHECK_EQ(column.row_bytes, 0);
}

TEST(Layout, SwapsTheWordsOfADenseRowAtOnce) {
  Column column = Only(Columns("'>f4'", {3, 5}, {20, 4}));
  CHECK_EQ(column.chunk_bytes, 60);
  CHECK_EQ(column.swaps.size(), 1u);
  CHECK_EQ(column.swaps[0].count, 15);
  CHECK_EQ(column.swaps[0].stride, 4);
  column = Only(Columns("'>c16'", {2}, {16}));
  CHECK_EQ(column.swaps[0].count, 4);
  CHECK_EQ(column.swaps[0].stride, 8);
  column = Only(Columns("'>U3'", {2}, {12}));
  CHECK_EQ(column.swaps[0].count, 6);
  CHECK_EQ(column.swaps[0].stride, 4);
  column = Only(Columns("'>M8[s]'", {}, {}));
  CHECK_EQ(column.swaps[0].stride, 8);
  CHECK_EQ(Only(Columns("'<f4'", {3}, {4})).swaps.size(), 0u);
  CHECK_EQ(Only(Columns("'>U0'", {3}, {0})).swaps.size(), 0u);
}

TEST(Layout, RecordsTogetherAreOneColumn) {
  const Column column =
      Only(Columns("[('a', '>u2'), ('b', '>u2'), ('c', '|u1'), ('d', '>f8')]", {4}, {13}));
  CHECK_EQ(column.row_bytes, 52);
  // Words side by side are swapped together; records keep their axis.
  CHECK_EQ(column.swaps.size(), 2u);
  CHECK_EQ(column.swaps[0].offset, 0);
  CHECK_EQ(column.swaps[0].count, 2);
  CHECK_EQ(column.swaps[1].offset, 5);
  CHECK_EQ(column.axes.size(), 1u);
  CHECK_EQ(column.chunk_bytes, 13);
  // Nothing to swap: one run.
  CHECK_EQ(Only(Columns("[('a', '|u1'), ('b', '<u2')]", {4}, {3})).chunk_bytes, 12);
}

TEST(Layout, RecordsApartAreAColumnForEachField) {
  const std::vector<Column> columns =
      Columns("[('a', '|u1'), ('', '|V3'), ('b', [('x', '>f4'), ('y', '<f8', (2, 3))])]", {5}, {56},
              Fields::kApart);
  CHECK_EQ(columns.size(), 3u);
  CHECK_EQ(columns[0].offset, 0);
  CHECK_EQ(columns[0].row_bytes, 5);
  CHECK_EQ(columns[0].chunk_bytes, 1);
  CHECK_EQ(columns[1].offset, 4);
  CHECK_EQ(columns[1].row_bytes, 20);
  CHECK_EQ(columns[1].swaps.size(), 1u);
  CHECK_EQ(columns[2].offset, 8);
  CHECK_EQ(columns[2].row_bytes, 5 * 48);
  CHECK_EQ(columns[2].chunk_bytes, 48);
  CHECK_EQ(columns[2].axes.size(), 1u);
  CHECK_EQ(columns[2].axes[0].stride, 56);
}

TEST(Layout, AFieldThatIsTheWholeRecordIsOneRun) {
  const Column column = Only(Columns("[('x', '<f4', (3,))]", {7}, {12}, Fields::kApart));
  CHECK_EQ(column.axes.size(), 0u);
  CHECK_EQ(column.chunk_bytes, 84);
}

TEST(Layout, RecordsWithoutFieldsAreNoColumnsApart) {
  CHECK_EQ(Columns("[('', '|V4')]", {2}, {4}, Fields::kApart).size(), 0u);
  CHECK_EQ(Only(Columns("[('', '|V4')]", {2}, {4})).row_bytes, 8);
}

// A header of some hundred bytes asks for these: they must cost no more than it did.
TEST(Layout, LargeSubarraysAreDescribedAtOnce) {
  const Column plain = Only(Columns("[('a', '|u1', (2000000000,))]", {}, {}));
  CHECK_EQ(plain.swaps.size(), 0u);
  const Column swapped = Only(Columns("[('a', '>u2', (1000, 1000000))]", {}, {}));
  CHECK_EQ(swapped.swaps.size(), 1u);
  CHECK_EQ(swapped.swaps[0].count, 1000000000);
}

// What repeats itself is said once, at every level.
TEST(Layout, SwapsOfRecordsInSubarraysAreNotWrittenOut) {
  const Column column = Only(
      Columns("[('a', [('x', '>u2'), ('y', '|u1'), ('z', [('u', '|u1'), ('v', '>u4')], (100,))], "
              "(4000000,))]",
              {}, {}));
  CHECK_EQ(column.chunk_bytes, int64_t{503} * 4000000);
  CHECK_EQ(column.swaps.size(), 1u);
  const Swap& items = column.swaps[0];
  CHECK_EQ(items.count, 4000000);
  CHECK_EQ(items.stride, 503);
  CHECK_EQ(items.inner.size(), 2u);
  CHECK_EQ(items.inner[1].offset, 3);
  CHECK_EQ(items.inner[1].count, 100);
  CHECK_EQ(items.inner[1].stride, 5);
  CHECK_EQ(items.inner[1].inner.size(), 1u);
  CHECK_EQ(items.inner[1].inner[0].offset, 1);
  CHECK_EQ(items.inner[1].inner[0].stride, 4);
}

TEST(Layout, FieldsThatOverlapAreWrittenInTheirOrder) {
  Dtype dtype;
  dtype.itemsize = 6;
  dtype.fields = {{"a", "", 0, DtypeOf("'>u4'")}, {"b", "", 1, DtypeOf("'<u2'")}};
  const Column column = Only(MakeColumns(dtype, {}, {}, Fields::kTogether));
  CHECK(column.overlapping);
  CHECK_EQ(column.swaps.size(), 2u);
  CHECK_EQ(column.swaps[1].offset, 1);
  CHECK_EQ(column.swaps[1].count, 2);
  CHECK_EQ(column.swaps[1].stride, 1);
  // Nothing of the other byte order: one run.
  dtype.fields[0].dtype = DtypeOf("'<u4'");
  CHECK_EQ(Only(MakeColumns(dtype, {}, {}, Fields::kTogether)).swaps.size(), 0u);
}

TEST(Layout, BytesOfARowThatCannotBeCountedAreAnError) {
  const int64_t half = int64_t{1} << 60;
  CHECK_THROWS(Columns("'<u2'", {half, 4}, {0, 0}), Error, "2**63 bytes");
  CHECK_EQ(Only(Columns("'<u2'", {half, 4, 0}, {0, 0, 0})).row_bytes, 0);
  // Items of no bytes may be as many as there are: they are not counted.
  CHECK_EQ(Only(Columns("'|V0'", {half, half, half}, {0, 0, 0})).axes.size(), 0u);
}

// NumPy lets a zero excuse what comes after it.
TEST(Layout, SubarraysOfNoBytesMayHaveAnyOtherDimensions) {
  const int64_t many = int64_t{1} << 40;
  for (const Fields fields : {Fields::kTogether, Fields::kApart}) {
    for (const char* shape : {"(0, 2147483647, 2147483647, 2147483647)", "(2, 0, 2147483647)"}) {
      const std::string descr = "[('a', '>f4', " + std::string(shape) + ")]";
      const Column column = Only(Columns(descr, {many, 1 << 20}, {0, 0}, fields));
      CHECK_EQ(column.row_bytes, 0);
      CHECK_EQ(column.axes.size(), 0u);
    }
  }
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
