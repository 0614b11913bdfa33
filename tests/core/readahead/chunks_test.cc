#include "core/readahead/chunks.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

constexpr int64_t kKiB = 1 << 10;
constexpr int64_t kRowBytes = kKiB;
constexpr int64_t kHeaderBytes = 128;

// Files of so many rows of 1 KiB, behind a header of 128 bytes.
std::shared_ptr<const Array> Files(const testing::TempFolder& folder,
                                   const std::vector<int64_t>& rows, bool fortran_order = false) {
  std::vector<std::string> paths;
  for (const int64_t count : rows) {
    paths.push_back(folder / (std::to_string(paths.size()) + ".npy"));
    testing::WriteNpy(paths.back(), "'|u1'", {count, kRowBytes},
                      testing::RandomBytes(static_cast<size_t>(count * kRowBytes)), fortran_order);
  }
  return Array::Open(paths);
}

TEST(Chunks, AreNumberedThroughAllFiles) {
  const testing::TempFolder folder;
  const auto array = Files(folder, {600, 100});
  const Chunks chunks(*array);
  CHECK_EQ(chunks.count(), 4);
  CHECK_EQ(chunks.At(0, 0), 0);
  CHECK_EQ(chunks.At(0, 256 * kKiB - 1), 0);
  CHECK_EQ(chunks.At(0, 256 * kKiB), 1);
  CHECK_EQ(chunks.At(0, 600 * kKiB), 2);
  CHECK_EQ(chunks.At(1, 0), 3);
}

TEST(Chunks, EachByteIsInOne) {
  const testing::TempFolder folder;
  const auto array = Files(folder, {600, 1, 256, 255});
  const Chunks chunks(*array);
  for (int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    const FileRange range = chunks.RangeOf(chunk, 7);
    CHECK_EQ(range.leaf, 7U);
    CHECK_EQ(range.bytes, Chunks::kBytes);
    CHECK_EQ(chunks.At(range.file, range.offset), chunk);
    CHECK(range.offset < array->file(range.file).size());
    const int64_t end = range.offset + range.bytes;
    if (end < array->file(range.file).size()) CHECK_EQ(chunks.At(range.file, end), chunk + 1);
  }
}

TEST(Chunks, OfRowsFromTheFirstByteToTheLast) {
  const testing::TempFolder folder;
  const auto array = Files(folder, {600, 100});
  const Chunks chunks(*array);
  CHECK_EQ(array->file_rows()[0].data_offset, kHeaderBytes);
  const auto of_rows = [&](int64_t first, int64_t end) {
    const auto [first_chunk, end_chunk] = chunks.OfRows(*array, first, end);
    return std::vector{first_chunk, end_chunk};
  };
  CHECK_EQ(of_rows(0, 700), (std::vector<int64_t>{0, 4}));
  CHECK_EQ(of_rows(0, 255), (std::vector<int64_t>{0, 1}));
  CHECK_EQ(of_rows(0, 256), (std::vector<int64_t>{0, 2}));  // because of the header
  CHECK_EQ(of_rows(256, 257), (std::vector<int64_t>{1, 2}));
  CHECK_EQ(of_rows(599, 600), (std::vector<int64_t>{2, 3}));
  CHECK_EQ(of_rows(600, 601), (std::vector<int64_t>{3, 4}));
  CHECK_EQ(of_rows(599, 601), (std::vector<int64_t>{2, 4}));
}

TEST(Chunks, OfScatteredRowsAreAll) {
  const testing::TempFolder folder;
  const auto array = Files(folder, {600}, true);
  const Chunks chunks(*array);
  const auto [first, end] = chunks.OfRows(*array, 5, 6);
  CHECK_EQ(first, 0);
  CHECK_EQ(end, chunks.count());
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
