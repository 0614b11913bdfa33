#include "core/readahead/readahead.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/os/page_size.h"
#include "core/readahead/leaf_prefetchers.h"
#include "core/source/residency.h"
#include "core/stream/batch_stream.h"
#include "core/stream/indexed_batches.h"
#include "core/stream/reading_of.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"
#include "tests/core/support/row_list.h"

namespace npyfast {

struct ResidencyTest {
  static Mutex& mutex() { return ResidencyMutex::mutex_; }
};

namespace {

using namespace std::chrono_literals;
using testing::TempFolder;
using Leaves = std::vector<std::shared_ptr<const Gather>>;
using Rows = std::vector<int64_t>;

constexpr ReadaheadMode kModes[] = {ReadaheadMode::kAuto, ReadaheadMode::kOff,
                                    ReadaheadMode::kWhole, ReadaheadMode::kRows};
constexpr auto kPatience = 300s;  // what takes longer hangs

// Files of so many rows each, none of which is in memory where that can be. Row i has the number i
// `width` times.
std::shared_ptr<const Array> Numbers(const TempFolder& folder, const std::string& name,
                                     const std::vector<int64_t>& files, int64_t width,
                                     bool fortran_order = false) {
  std::vector<std::string> paths;
  int64_t first = 0;
  for (const int64_t rows : files) {
    Rows numbers(static_cast<size_t>(rows * width));
    for (int64_t i = 0; i < std::ssize(numbers); ++i)
      numbers[static_cast<size_t>(i)] = first + (fortran_order ? i % rows : i / width);
    first += rows;
    paths.push_back(folder / (name + std::to_string(paths.size()) + ".npy"));
    testing::WriteNpy(paths.back(), "'<i8'", {rows, width}, std::as_bytes(std::span(numbers)),
                      fortran_order);
    const testing::Descriptor file(paths.back());
    ::fsync(file.get());
    ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
  return Array::Open(paths);
}

std::shared_ptr<const Gather> GatherOf(std::shared_ptr<const Array> array) {
  return std::make_shared<Gather>(std::move(array), Fields::kTogether);
}

// Each leaf has the rows that the maker says, and nothing else.
void CheckItem(const BatchBuilder& maker, int64_t item, const Batch& batch) {
  Rows rows;
  const ItemPlan& plan = maker.item_plan();
  rows.resize(static_cast<size_t>(plan.RowCount(plan.At(item))));
  plan.Fill(plan.At(item), 0, rows);
  CHECK_EQ(batch.rows, std::ssize(rows));
  for (size_t i = 0; i < maker.leaves().size(); ++i) {
    const int64_t width = maker.leaves()[i]->row_bytes() / 8;
    Rows found(static_cast<size_t>(batch.rows * width));
    if (!found.empty()) std::memcpy(found.data(), batch.columns[i].get(), found.size() * 8);
    for (int64_t k = 0; k < std::ssize(found); ++k)
      CHECK_EQ(found[static_cast<size_t>(k)], rows[static_cast<size_t>(k / width)]);
  }
}

BatchStream::Result Next(BatchStream& stream, Batch* batch) {
  const auto result = stream.Next(batch, kPatience);
  CHECK(result != BatchStream::Result::kNotYet);
  return result;
}

// The next items of a stream, all of them right; returns how many there were.
int64_t Read(BatchStream& stream, int64_t most = 1'000'000'000) {
  Batch batch;
  int64_t count = 0;
  for (; count < most; ++count) {
    const int64_t item = stream.position();
    if (Next(stream, &batch) == BatchStream::Result::kEnd) break;
    CheckItem(stream.maker(), item, batch);
  }
  return count;
}

struct Random {
  std::mt19937_64 engine;
  int64_t Below(int64_t n) { return static_cast<int64_t>(engine() % static_cast<uint64_t>(n)); }
};

// --- What comes is what the plan says.

TEST(Readahead, NeverChangesWhatComes) {
  Random random{std::mt19937_64(3)};
  for (int round = 0; round < (testing::kThreadSanitizer ? 40 : 160); ++round) {
    const TempFolder folder;
    std::vector<int64_t> files;
    for (int64_t s = random.Below(3); s > 0; --s) files.push_back(random.Below(200));
    files.push_back(1 + random.Below(300));
    int64_t rows = 0;
    for (const int64_t count : files) rows += count;
    Leaves leaves;
    for (int64_t i = 1 + random.Below(3); i > 0; --i) {
      const int64_t width = random.Below(5) == 0 ? 0 : 1 + random.Below(random.Below(2) ? 9 : 700);
      leaves.push_back(
          GatherOf(Numbers(folder, std::to_string(i), files, width, random.Below(4) == 0)));
    }
    Selection selection{.size = rows};
    Rows list;
    if (random.Below(3) == 0) {
      for (int64_t i = 1 + random.Below(rows); i > 0; --i) list.push_back(random.Below(rows));
      selection = {.size = std::ssize(list), .list = testing::RowList(list)};
    } else if (random.Below(3) == 0) {
      selection = {.start = rows - 1, .step = -1, .size = rows};
    } else if (random.Below(3) == 0) {
      selection.start = random.Below(rows + 1);
      selection.size = rows - selection.start;
      selection.order.emplace(static_cast<uint64_t>(rows), random.engine(), kSplitEpoch);
    } else if (random.Below(3) == 0) {
      selection = {.start = random.Below(3), .step = 3, .size = (rows + 2) / 4};
      if (selection.start + (selection.size - 1) * 3 >= rows) selection = {.size = rows};
    }
    Plan::Options options{.batch_size = 1 + random.Below(random.Below(2) ? 10 : 300),
                          .shuffle = random.Below(3) > 0,
                          .seed = random.engine(),
                          .drop_remainder = random.Below(4) == 0};
    if (options.shuffle && random.Below(2) == 0)
      options.blocks = {1 + random.Below(40), 1 + random.Below(200)};
    options.shard_count = 1 + random.Below(3);
    options.shard_index = random.Below(options.shard_count);
    const Plan plan(selection, options);
    const Run run{.start_epoch = random.engine() >> 2,
                  .start_batch = random.Below(plan.batches() + 1),
                  .epochs = 1 + random.Below(3),
                  .group = int64_t{1} << random.Below(4)};
    const auto maker = std::make_shared<BatchBuilder>(leaves, plan, run);
    for (const ReadaheadMode mode : kModes) {
      BatchStream stream(maker, {.threads = static_cast<int>(1 + random.Below(4)),
                                 .ahead_bytes = random.Below(2) ? 1000 : 16 << 20,
                                 .readahead = mode});
      CHECK_EQ(Read(stream), maker->items());
    }
    if (plan.batches() == 0) continue;
    for (const ReadaheadMode mode : kModes) {
      IndexedBatches batches(leaves, plan, {.epochs = 2}, {.threads = 2, .readahead = mode});
      const BatchBuilder judge(leaves, plan, {.epochs = 2});
      for (int i = 0; i < 6; ++i) {
        const int64_t index = random.Below(plan.batches());
        CheckItem(judge, index, batches.Get(index));
        CheckItem(judge, index + 1, batches.Get(index + 1));
      }
    }
  }
}

Readahead::Handle StartReadahead(const Reading& reading, int64_t first_item, ReadaheadMode mode,
                                 const std::shared_ptr<Statistics>& statistics) {
  return Readahead::Start(reading, first_item,
                          MakePrefetchers(reading, mode, statistics).prefetchers, statistics);
}

TEST(Readahead, OfMemoryThereIsNothingToRead) {
  static const Rows numbers = testing::Counting<int64_t>(100);
  const std::vector<int64_t> shape = {100, 1};
  const std::vector<int64_t> strides = {8, 8};
  const auto memory = GatherOf(Array::View(reinterpret_cast<const std::byte*>(numbers.data()),
                                           testing::DtypeOf("'<i8'"), shape, strides));
  const auto maker = std::make_shared<BatchBuilder>(Leaves{memory}, Plan({.size = 100}, {}), Run{});
  for (const ReadaheadMode mode : kModes) {
    CHECK(StartReadahead(ReadingOf(*maker), 0, mode, std::make_shared<Statistics>()) == nullptr);
    Readahead::RequestOnce(ReadingOf(*maker), mode);
  }
  // Beside a file.
  const TempFolder folder;
  const auto file = GatherOf(Numbers(folder, "a", {40, 60}, 8));
  const Plan plan({.size = 100}, {.batch_size = 7, .shuffle = true});
  const auto both = std::make_shared<BatchBuilder>(Leaves{memory, file}, plan, Run{});
  for (const ReadaheadMode mode : kModes) {
    BatchStream stream(both, {.threads = 2, .readahead = mode});
    CHECK_EQ(Read(stream), 15);
  }
}

// --- By itself.

std::shared_ptr<const BatchBuilder> Maker(const TempFolder& folder, int64_t rows, int64_t width,
                                          const Plan::Options& options, int64_t epochs = 1) {
  return std::make_shared<BatchBuilder>(Leaves{GatherOf(Numbers(folder, "a", {rows}, width))},
                                        Plan({.size = rows}, options), Run{.epochs = epochs});
}

std::vector<Plan::Options> Orders(int64_t batch_size) {
  return {{.batch_size = batch_size},
          {.batch_size = batch_size, .shuffle = true},
          {.batch_size = batch_size, .shuffle = true, .blocks = {10, 50}},
          {.batch_size = batch_size, .shuffle = true, .blocks = {1, 1}},
          {.batch_size = batch_size, .shuffle = true, .blocks = {1000, 1000}}};
}

TEST(Readahead, AllThatIsWaitedForComes) {
  const TempFolder folder;
  for (const Plan::Options& options : Orders(3)) {
    const auto maker = Maker(folder, 500, 64, options, 2);
    for (const ReadaheadMode mode : {ReadaheadMode::kWhole, ReadaheadMode::kRows}) {
      const auto readahead =
          StartReadahead(ReadingOf(*maker), 0, mode, std::make_shared<Statistics>());
      if (readahead == nullptr) continue;  // in memory
      for (int64_t item = 0; item < maker->items(); ++item) {
        readahead->Reached(item + 1, item);
        readahead->Await(item);
      }
      // Once more, and all at once.
      readahead->Await(0);
      readahead->Await(maker->items() - 1);
    }
  }
}

// As makers do: by several threads that leap ahead of each other, one item at a time far ahead of
// what has been asked for, with large items, of which few are asked for ahead.
TEST(Readahead, NobodyIsForgotten) {
  const TempFolder folder;
  // Items of as many bytes as are asked for ahead: each has to be waited for.
  const auto maker = Maker(folder, 64, 64 << 10, {.batch_size = 16, .shuffle = true}, 200);
  const auto readahead =
      StartReadahead(ReadingOf(*maker), 0, ReadaheadMode::kRows, std::make_shared<Statistics>());
  CHECK(readahead != nullptr);
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (;;) {
        int64_t item;
        {
          const std::lock_guard lock(mutex);
          item = next++;
          if (item >= maker->items()) return;
          readahead->Reached(item + 1, std::max<int64_t>(item - 3, 0));
        }
        readahead->Await(item);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Readahead, StopWakesWhoWaits) {
  const TempFolder folder;
  for (const Plan::Options& options : Orders(50)) {
    const auto maker = Maker(folder, 2'000, 512, options, -1);
    for (const ReadaheadMode mode : {ReadaheadMode::kWhole, ReadaheadMode::kRows}) {
      for (int round = 0; round < 10; ++round) {
        const auto readahead =
            StartReadahead(ReadingOf(*maker), round, mode, std::make_shared<Statistics>());
        if (readahead == nullptr) continue;
        std::thread waiting([&] {
          for (int64_t item = round; item < 2'000; ++item) readahead->Await(item);
        });
        readahead->Stop();
        waiting.join();
      }
    }
  }
}

TEST(Readahead, MayEndAtAnyMoment) {
  const TempFolder folder;
  for (const Plan::Options& options : Orders(20)) {
    const auto maker = Maker(folder, 3'000, 256, options, 3);
    for (const ReadaheadMode mode : kModes) {
      for (int64_t items = 0; items < 60; items += 7) {
        BatchStream stream(maker, {.threads = 3, .readahead = mode});
        CHECK_EQ(Read(stream, items), items);
        if (items % 2 == 0) stream.Close();
      }
    }
  }
}

TEST(Readahead, ManyStreamsOfFewRows) {
  const TempFolder folder;
  const auto maker = Maker(folder, 3, 4, {.batch_size = 2, .shuffle = true});
  const int streams = testing::kThreadSanitizer || testing::kAddressSanitizer ? 300 : 2'000;
  for (int i = 0; i < streams; ++i) {
    BatchStream stream(maker, {.threads = 2, .readahead = kModes[i % 4]});
    CHECK_EQ(Read(stream), 2);
  }
}

TEST(Readahead, TwoStreamsOfOneArray) {
  const TempFolder folder;
  const auto array = GatherOf(Numbers(folder, "a", {900, 0, 1'100}, 128));
  for (const ReadaheadMode one : kModes) {
    for (const ReadaheadMode other : kModes) {
      const Plan shuffled({.size = 2'000}, {.batch_size = 32, .shuffle = true});
      const Plan half({.start = 500, .size = 1'000}, {.batch_size = 10});
      const auto a =
          std::make_shared<BatchBuilder>(Leaves{array, array}, shuffled, Run{.epochs = 2});
      const auto b = std::make_shared<BatchBuilder>(Leaves{array}, half, Run{.epochs = 2});
      BatchStream first(a, {.threads = 2, .readahead = one});
      BatchStream second(b, {.threads = 2, .readahead = other});
      while (Read(first, 3) + Read(second, 5) > 0) {
      }
      CHECK_EQ(first.position(), a->items());
      CHECK_EQ(second.position(), b->items());
    }
  }
}

TEST(Readahead, ASlowReaderAndAFastOne) {
  const TempFolder folder;
  for (const Plan::Options& options : Orders(16)) {
    const auto maker = Maker(folder, 4'000, 512, options);
    for (const ReadaheadMode mode : {ReadaheadMode::kWhole, ReadaheadMode::kRows}) {
      BatchStream stream(maker, {.threads = 2, .ahead_bytes = 1, .readahead = mode});
      for (int i = 0; i < 10; ++i) {
        CHECK_EQ(Read(stream, 1), 1);
        std::this_thread::sleep_for(2ms);
      }
      CHECK_EQ(Read(stream), maker->items() - 10);
    }
  }
}

TEST(Readahead, AChildGoesOnWhereItsParentWas) {
  if (testing::kThreadSanitizer) SKIP("it takes a thread of the child for one of its parent's");
  const TempFolder folder;
  for (const Plan::Options& options : Orders(4)) {
    const auto maker = Maker(folder, 1'000, 256, options, 2);
    for (const ReadaheadMode mode : kModes) {
      BatchStream stream(maker, {.threads = 2, .readahead = mode});
      CHECK_EQ(Read(stream, 5), 5);
      IN_CHILD([&] { CHECK_EQ(Read(stream), maker->items() - 5); });
      CHECK_EQ(Read(stream), maker->items() - 5);
    }
  }
}

// A child must find no lock that a thread held which is not there any more.
TEST(Readahead, AForkWaitsForWhoHoldsTheStateOfAnArray) {
  if (testing::kThreadSanitizer) SKIP("it takes a thread of the child for one of its parent's");
  const TempFolder folder;
  const auto maker = Maker(folder, 300, 64, {.batch_size = 8, .shuffle = true});
  std::atomic<bool> held{false};
  const std::jthread holder([&held] {
    const MutexLock lock(ResidencyTest::mutex());
    held = true;
    std::this_thread::sleep_for(100ms);
  });
  while (!held) std::this_thread::sleep_for(1ms);
  IN_CHILD([&maker] {
    BatchStream stream(maker, {.threads = 1, .readahead = ReadaheadMode::kWhole});
    CHECK_EQ(Read(stream), maker->items());
  });
}

TEST(Readahead, ForksWhileItsThreadsAreAtWork) {
  if (testing::kAddressSanitizer || testing::kThreadSanitizer)
    SKIP("a sanitizer's allocator may be locked in the child");
  const TempFolder folder;
  const auto maker = Maker(folder, 20'000, 64, {.batch_size = 8, .shuffle = true}, -1);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (const ReadaheadMode mode : {ReadaheadMode::kWhole, ReadaheadMode::kRows}) {
    threads.emplace_back([&, mode] {
      while (!stop) {
        BatchStream stream(maker, {.threads = 1, .readahead = mode});
        Batch batch;
        for (int i = 0; i < 3; ++i) stream.Next(&batch, kPatience);
      }
    });
  }
  BatchStream stream(maker, {.threads = 1, .readahead = ReadaheadMode::kWhole});
  for (int i = 0; i < 100; ++i) IN_CHILD([&] { CHECK_EQ(Read(stream, 2), 2); });
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

// --- What is in memory afterwards.

TEST(Readahead, AWholeFileIsThereAfterwards) {
  const TempFolder folder;
  const auto array = Numbers(folder, "a", {4'000}, 256);
  const std::string path = array->file(0).path();
  if (testing::HasNoDisk(path)) SKIP("this filesystem keeps its files in memory");
  const auto maker = std::make_shared<BatchBuilder>(
      Leaves{GatherOf(array)}, Plan({.size = 4'000}, {.batch_size = 10, .shuffle = true}), Run{});
  const auto statistics = std::make_shared<Statistics>();
  BatchStream stream(maker, {.readahead = ReadaheadMode::kWhole, .statistics = statistics});
  // By a few batches: the rest is read without being asked for.
  CHECK_EQ(Read(stream, 3), 3);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (testing::CachedPages(path) * PageBytes() < array->file_bytes()) {
    CHECK(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(1ms);
  }
  CHECK(statistics->read_bytes <= statistics->needed_bytes);
  CHECK(statistics->read_bytes > array->file_bytes() / 2);
}

// Of rows that come in file order, nothing that was not there before.
TEST(Readahead, LeavesNothingBehindTheReader) {
  const TempFolder folder;
  const auto array = Numbers(folder, "a", {3'000, 5'000}, 512);
  const std::string cold = array->file(0).path();
  const std::string warm = array->file(1).path();
  if (testing::HasNoDisk(cold)) SKIP("this filesystem keeps its files in memory");
  testing::NeedsToldPages(warm);
  testing::ReadRange(warm, 0, array->file(1).size());
  for (const Plan::Options& options :
       {Plan::Options{.batch_size = 50},
        Plan::Options{.batch_size = 50, .shuffle = true, .blocks = {100, 2'000}}}) {
    const auto maker = std::make_shared<BatchBuilder>(Leaves{GatherOf(array)},
                                                      Plan({.size = 8'000}, options), Run{});
    {
      BatchStream stream(maker, {.threads = 2, .readahead = ReadaheadMode::kRows});
      CHECK_EQ(Read(stream), maker->items());
    }
    // Pages at the borders of what is read together may stay.
    const int64_t pages = array->file(0).size() / PageBytes();
    CHECK(testing::CachedPages(cold) < pages / 20);
    CHECK(testing::CachedPages(warm) * PageBytes() > array->file(1).size() * 9 / 10);
  }
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
