#include "core/readahead/leaf_prefetchers.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/gather/batch_builder.h"
#include "core/os/direct_file.h"
#include "core/readahead/chunks.h"
#include "core/source/array.h"
#include "core/source/residency.h"
#include "core/stream/reading_of.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

constexpr int64_t kRows = 1000;
constexpr int64_t kRowBytes = 30'000;

// An array of 30 MB, and what reads some of its rows in a process that may use so much memory.
struct Example {
  explicit Example(const char* memory) {
    ::setenv("NPYFAST_MEMORY", memory, 1);
    const std::string path = folder / "x.npy";
    const std::vector<int64_t> shape = {kRows, kRowBytes};
    testing::WriteFile(path, testing::NpyHeader("'|u1'", shape));
    std::filesystem::resize_file(path, std::filesystem::file_size(path) + kRows * kRowBytes);
    testing::Evict(path);
    array = Array::Open(std::vector<std::string>{path});
    testing::NeedsDirectReads(path, DirectFile::Open(array->file(0)) != nullptr);
  }
  ~Example() { ::unsetenv("NPYFAST_MEMORY"); }

  LeafPrefetchers Read(int64_t first, int64_t rows, bool shuffle = true) const {
    const auto gather = std::make_shared<Gather>(array, Fields::kTogether);
    const BatchBuilder builder(std::vector<std::shared_ptr<const Gather>>{gather},
                               Plan({.start = first, .size = rows}, {.shuffle = shuffle}),
                               Run{.epochs = -1});
    return MakePrefetchers(ReadingOf(builder), ReadaheadMode::kAuto,
                           std::make_shared<Statistics>());
  }

  testing::TempFolder folder;
  std::shared_ptr<const Array> array;
};

int64_t LoadAll(const LeafPrefetchers& made) {
  for (const auto& leaf : made.prefetchers)
    while (leaf->LoadChunk()) {
    }
  return MemoryAccount::TotalBytes();
}

TEST(LeafPrefetchers, WhatIsReadAsAWholeIsCountedWhileTheArrayIsThere) {
  const int64_t before = MemoryAccount::TotalBytes();
  {
    const Example example("100MB");
    example.Read(0, kRows);
    CHECK_EQ(MemoryAccount::TotalBytes(), before + kRows * kRowBytes);
    // The next epoch of the same array, and of a part of it.
    example.Read(0, kRows);
    CHECK_EQ(MemoryAccount::TotalBytes(), before + kRows * kRowBytes);
    example.Read(10, 90);
    CHECK_EQ(MemoryAccount::TotalBytes(), before + 90 * kRowBytes);
  }
  CHECK_EQ(MemoryAccount::TotalBytes(), before);
}

TEST(LeafPrefetchers, APartOfWhatDoesNotFitIsCounted) {
  const int64_t before = MemoryAccount::TotalBytes();
  {
    const Example example("20MB");
    const LeafPrefetchers made = example.Read(0, kRows);
    CHECK_EQ(made.direct.size(), 1U);
    CHECK_EQ(made.prefetchers.size(), 1U);
    const int64_t part = LoadAll(made) - before;
    CHECK(10'000'000 < part && part < 20'000'000);
    // Again, once it is loaded.
    CHECK_EQ(LoadAll(example.Read(0, kRows)) - before, part);
  }
  CHECK_EQ(MemoryAccount::TotalBytes(), before);
}

TEST(LeafPrefetchers, TrainingAndValidationRowsShareTheMemory) {
  const int64_t before = MemoryAccount::TotalBytes();
  const Example example("20MB");
  const int64_t training = LoadAll(example.Read(0, 800)) - before;
  for (int epoch = 0; epoch < 3; ++epoch) {
    const int64_t both = LoadAll(example.Read(800, 200)) - before;
    CHECK(training - Chunks::kBytes <= both && both <= 20'000'000);
    CHECK(LoadAll(example.Read(0, 800)) - before <= 20'000'000);
  }
}

TEST(LeafPrefetchers, RowsInTheOrderOfTheFileHaveNoPart) {
  const Example example("20MB");
  const LeafPrefetchers made = example.Read(0, kRows, false);
  CHECK_EQ(made.direct.size(), 1U);
  CHECK(made.prefetchers.empty());
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
