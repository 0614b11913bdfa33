#include "core/os/page_cache.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "core/os/page_size.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::TempFolder;

constexpr int64_t kPages = 64;

// A file of kPages pages, none of which is in memory.
std::string ColdFile(const TempFolder& folder) {
  const std::string path = folder / "cold.bin";
  const auto bytes = testing::RandomBytes(static_cast<size_t>(kPages * PageBytes()));
  testing::WriteFile(path, testing::AsText(bytes));
  testing::NeedsToldPages(path);
  testing::Evict(path);
  return path;
}

double SharePage(const PageCache& cache, int64_t page) {
  return cache.Share(page * PageBytes(), PageBytes());
}

TEST(PageCache, TellsWhatIsThere) {
  const TempFolder folder;
  const std::string path = ColdFile(folder);
  const MappedFile file(path);
  const PageCache cache(file);
  CHECK_EQ(SharePage(cache, 40), 0);
  cache.Read(40 * PageBytes() + 17);
  CHECK_EQ(SharePage(cache, 40), 1);
  CHECK_EQ(cache.Share(40 * PageBytes() + 4, 1), 1);
  // A read gets nothing but its page.
  CHECK_EQ(SharePage(cache, 39), 0);
  CHECK_EQ(SharePage(cache, 41), 0);
}

TEST(PageCache, TellsTheShareOfARange) {
  const TempFolder folder;
  const std::string path = ColdFile(folder);
  const MappedFile file(path);
  const PageCache cache(file);
  testing::ReadRange(path, 8 * PageBytes(), 4 * PageBytes());
  const double share = cache.Share(8 * PageBytes(), 8 * PageBytes());
  // Old kernels tell of one page.
  CHECK(share == 0.5 || share == 0 || share == 1);
  CHECK_EQ(cache.Share(8 * PageBytes() + 5, 4 * PageBytes() - 5), 1);
}

TEST(PageCache, StartsReadingARange) {
  const TempFolder folder;
  const std::string path = ColdFile(folder);
  const MappedFile file(path);
  const PageCache cache(file);
  CHECK(cache.StartReading(20 * PageBytes(), 4 * PageBytes()));
  for (int64_t page = 20; page < 24; ++page) {
    cache.Read(page * PageBytes());  // waits
    CHECK_EQ(SharePage(cache, page), 1);
  }
  CHECK_EQ(SharePage(cache, 30), 0);
}

TEST(PageCache, LetsGoOfARangeAlone) {
  const TempFolder folder;
  const std::string path = ColdFile(folder);
  const MappedFile file(path);
  const PageCache cache(file);
  testing::ReadRange(path, 0, kPages * PageBytes());
  CHECK_EQ(testing::CachedPages(path), kPages);
  cache.LetGo(10 * PageBytes(), 5 * PageBytes());
  CHECK_EQ(testing::CachedPages(path), kPages - 5);
  CHECK_EQ(SharePage(cache, 9), 1);
  CHECK_EQ(SharePage(cache, 10), 0);
  CHECK_EQ(SharePage(cache, 14), 0);
  CHECK_EQ(SharePage(cache, 15), 1);
}

TEST(PageCache, OfAnotherFileNothingIsKnown) {
  const TempFolder folder;
  const std::string path = ColdFile(folder);
  const MappedFile file(path);
  testing::WriteFile(folder / "new.bin", std::string(static_cast<size_t>(file.size()), 'x'));
  std::filesystem::rename(folder / "new.bin", path);
  const int64_t there = testing::CachedPages(path);
  PageCache replaced(file);
  CHECK(replaced.Share(0, 1) < 0);
  CHECK(!replaced.StartReading(0, PageBytes()));
  replaced.Read(0);
  replaced.LetGo(0, file.size());
  CHECK_EQ(testing::CachedPages(path), there);
  std::filesystem::remove(path);
  CHECK(PageCache(file).Share(0, 1) < 0);
}

TEST(PageCache, CanBeMoved) {
  const TempFolder folder;
  const std::string path = ColdFile(folder);
  const MappedFile file(path);
  PageCache first(file);
  PageCache second(std::move(first));
  second.Read(0);
  CHECK_EQ(SharePage(second, 0), 1);
  PageCache third(file);
  third = std::move(second);
  CHECK_EQ(SharePage(third, 0), 1);
  CHECK_EQ(SharePage(third, 60), 0);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
