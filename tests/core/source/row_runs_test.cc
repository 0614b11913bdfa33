#include "core/source/row_runs.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::TempFolder;

// An array of bytes in one file, which has holes only.
std::shared_ptr<const Array> File(const TempFolder& folder, const std::vector<int64_t>& shape,
                                  const std::vector<int64_t>& window, bool fortran = false) {
  const std::string path = folder / "a.npy";
  const std::string header = testing::NpyHeader("'|u1'", shape, fortran);
  testing::WriteFile(path, header);
  uintmax_t bytes = header.size();
  bytes += static_cast<uintmax_t>(
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()));
  std::filesystem::resize_file(path, bytes);
  const std::vector<Extent> extents{{path}};
  const RowView view{.window = window, .stride = std::vector<int64_t>(window.size(), 1)};
  return Array::Open(extents, Array::Map::kNow, view);
}

TEST(RunsOf, JoinsWhatIsNear) {
  const TempFolder folder;
  const auto runs = [&](const std::vector<int64_t>& shape, const std::vector<int64_t>& window) {
    return RunsOf(*File(folder, shape, window), 0);
  };
  CHECK_EQ(runs({100, 300}, {20}).count, 1);
  CHECK_EQ(runs({100, 300}, {20, 100}).count, 1);
  CHECK_EQ(runs({100, 300}, {20, 100}).bytes, 19 * 300 + 100);
  CHECK_EQ(runs({30, 20000}, {20, 100}).count, 20);
  CHECK_EQ(runs({30, 20000}, {20, 100}).bytes, 100);
  CHECK_EQ(runs({4, 30, 20000}, {3, 20, 100}).count, 60);
  CHECK(runs({30, 20000}, {20, 100}).AreWorthwhile());
  CHECK(!runs({30, 20000}, {20, 10}).AreWorthwhile());
  CHECK(runs({30, 20000}, {1, 10}).AreWorthwhile());
}

// Every byte of a row lies where the strides say, in blocks that hold bytes of one run only.
void CheckImage(const Array& array) {
  const RowImage image = ImageOf(array, 0);
  const FileRows& file = array.file_rows()[0];
  std::map<int64_t, int64_t> offset_of;  // place in memory -> offset in the file
  std::map<int64_t, int64_t> run_of_block;
  for (const int64_t first : {int64_t{0}, int64_t{4000}}) {
    offset_of.clear();
    run_of_block.clear();
    int64_t runs = 0;
    image.ForEachRun(first, first, [&](int64_t offset, int64_t place) {
      CHECK_EQ((place - offset) % RowImage::kUnit, 0);
      for (int64_t i = 0; i < image.runs.bytes; ++i) {
        offset_of[place + i] = offset + i;
        const int64_t block = (place + i) / RowImage::kUnit;
        CHECK_EQ(run_of_block.emplace(block, runs).first->second, runs);
      }
      ++runs;
    });
    CHECK_EQ(runs, image.runs.count);
    CHECK_EQ(offset_of.rbegin()->first, first + image.bytes - 1);
    std::vector<int64_t> index(array.row_shape().size(), 0);
    for (bool more = true; more;) {
      int64_t place = first;
      int64_t offset = first;
      for (size_t i = 0; i < index.size(); ++i) {
        place += index[i] * image.strides[i];
        offset += index[i] * file.strides[i];
      }
      CHECK_EQ(offset_of.at(place), offset);
      more = false;
      for (size_t i = index.size(); i-- > 0 && !more;) {
        more = ++index[i] < array.row_shape()[i];
        if (!more) index[i] = 0;
      }
    }
  }
}

TEST(ImageOf, KeepsEachRunInItsPlaceWithinABlock) {
  const TempFolder folder;
  CheckImage(*File(folder, {30, 20000}, {20, 100}));
  CheckImage(*File(folder, {30, 20000}, {1, 100}));
  CheckImage(*File(folder, {30, 20000}, {20, 20000}));
  CheckImage(*File(folder, {30, 9000}, {20, 700}));
  CheckImage(*File(folder, {5, 7, 30011, 3}, {2, 3, 50}));
  CheckImage(*File(folder, {30, 8292}, {3, 100}));  // the least gap
  CheckImage(*File(folder, {20000, 3, 5}, {100}, true));
  CheckImage(*File(folder, {9000, 9000}, {7, 70}, true));
  CheckImage(*File(folder, {100, 300}, {20, 100}));
}

TEST(ImageOf, IsMuchSmallerThanWhatItIsTakenFrom) {
  const TempFolder folder;
  const auto array = File(folder, {300, 60000}, {256, 768});
  CHECK(ImageOf(*array, 0).bytes < 256 * (768 + 3 * RowImage::kUnit));
  CHECK(array->row_bytes() > 255 * 60000);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
