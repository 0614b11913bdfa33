#include "core/stream/indexed_batches.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/base/errors.h"
#include "core/os/thread_pool.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;
using testing::Counting;

using Indexes = std::vector<int64_t>;
using Leaves = std::vector<std::shared_ptr<const Gather>>;

constexpr auto kPatience = 300s;  // what takes longer hangs

void WaitUntil(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    CHECK(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(1ms);
  }
}

std::shared_ptr<const Gather> View(const void* data, const std::vector<int64_t>& shape,
                                   const std::vector<int64_t>& strides) {
  return std::make_shared<Gather>(
      Array::View(static_cast<const std::byte*>(data), testing::DtypeOf("'<i8'"), shape, strides),
      Fields::kTogether);
}

const std::vector<int64_t>& AllNumbers() {
  static const auto* const numbers = new std::vector<int64_t>(Counting<int64_t>(10'000));
  return *numbers;
}

// Row i is the number i, `width` times.
std::shared_ptr<const Gather> Numbers(int64_t rows, int64_t width = 1) {
  return View(AllNumbers().data(), {rows, width}, {8, 0});
}

// All columns of a batch, one after the other, and its rows.
std::vector<int64_t> Content(const Batch& batch, const Leaves& leaves) {
  std::vector<int64_t> content;
  auto column = batch.columns.begin();
  for (const auto& leaf : leaves) {
    for (size_t c = 0; c < leaf->columns(); ++c, ++column) {
      const size_t begin = content.size();
      const auto numbers = static_cast<size_t>(batch.rows * leaf->row_bytes(c) / 8);
      content.resize(begin + numbers);
      if (numbers > 0) std::memcpy(content.data() + begin, column->get(), numbers * 8);
    }
  }
  content.push_back(batch.rows);
  return content;
}

// Batches by their index, next to the batches of a BatchBuilder of the same run, which judges them.
class Judged {
 public:
  Judged(const Leaves& leaves, const Plan& plan, const IndexedBatches::Epochs& run, int threads = 2)
      : leaves_(leaves),
        maker_(leaves, plan, {run.start_epoch, run.start_batch, run.epochs}),
        batches_(leaves, plan, run, {.threads = threads}) {}

  // The indexes whose batch is another one than it should be, asked for in this order.
  Indexes Wrong(const Indexes& indexes) {
    Indexes wrong;
    for (const int64_t i : indexes) {
      if (Content(batches_.Get(i), leaves_) != Content(maker_.Make(i), leaves_)) wrong.push_back(i);
    }
    return wrong;
  }

  int64_t items() const { return maker_.items(); }
  IndexedBatches& batches() { return batches_; }

 private:
  const Leaves leaves_;
  const BatchBuilder maker_;
  IndexedBatches batches_;
};

Indexes Range(int64_t first, int64_t last) {
  Indexes indexes(static_cast<size_t>(last - first));
  std::iota(indexes.begin(), indexes.end(), first);
  return indexes;
}

Indexes Reversed(Indexes indexes) {
  std::reverse(indexes.begin(), indexes.end());
  return indexes;
}

Indexes Picked(int64_t count, size_t picks, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Indexes indexes(picks);
  for (int64_t& i : indexes) i = static_cast<int64_t>(random() % static_cast<uint64_t>(count));
  return indexes;
}

// --- Which batch.

// Every run there is below a bound.
TEST(IndexedBatches, EveryIndexIsTheBatchThatItSays) {
  for (const int64_t rows : {0, 1, 7}) {
    const Leaves leaves = {Numbers(rows), Numbers(rows, 3)};
    for (const int64_t batch_size : {1, 3}) {
      for (const bool shuffle : {false, true}) {
        for (const bool drop : {false, true}) {
          const Plan plan(
              {.size = rows},
              {.batch_size = batch_size, .shuffle = shuffle, .seed = 1, .drop_remainder = drop});
          for (int64_t start = 0; start <= plan.batches(); ++start) {
            for (const int64_t epochs : {-1, 0, 1, 3}) {
              for (const bool single_epochs : {false, true}) {
                Judged judged(leaves, plan, {5, start, epochs, single_epochs});
                const int64_t count = judged.items() < 0 ? 4 * plan.batches() : judged.items();
                const Indexes all = Range(0, count);
                CHECK_EQ(judged.Wrong(all), Indexes{});
                CHECK_EQ(judged.Wrong(Reversed(all)), Indexes{});
                if (count > 0) CHECK_EQ(judged.Wrong(Picked(count, 20)), Indexes{});
                CHECK_EQ(judged.Wrong(Range(count / 2, count)), Indexes{});
                CHECK_EQ(judged.Wrong(all), Indexes{});
                CHECK_THROWS(judged.batches().Get(-1), IndexError, "batch -1 is out of range");
                if (judged.items() >= 0)
                  CHECK_THROWS(judged.batches().Get(count), IndexError, std::to_string(count));
              }
            }
          }
        }
      }
    }
  }
}

TEST(IndexedBatches, AnyNumberOfThreadsMakesTheSame) {
  const Plan plan({.size = 1003}, {.batch_size = 4, .shuffle = true, .seed = 9});
  for (const int threads : {1, 2, 5, 9}) {
    for (const bool single_epochs : {false, true}) {
      Judged judged({Numbers(1003)}, plan, {2, 33, 3, single_epochs}, threads);
      CHECK_EQ(judged.items(), 3 * 251 - 33);
      CHECK_EQ(judged.Wrong(Range(0, judged.items())), Indexes{});
      CHECK_EQ(judged.Wrong(Range(100, 400)), Indexes{});
      CHECK_EQ(judged.Wrong(Picked(judged.items(), 200)), Indexes{});
    }
  }
}

TEST(IndexedBatches, ShardsHaveTheirOwn) {
  for (const int64_t shard : {0, 1, 2}) {
    const Plan plan({.start = 9, .step = -1, .size = 10},
                    {.batch_size = 2, .shard_index = shard, .shard_count = 3});
    Judged judged({Numbers(10)}, plan, {0, 1, -1, true});
    CHECK_EQ(judged.Wrong(Range(0, 30)), Indexes{});
  }
}

TEST(IndexedBatches, LargeOnesAreMadeInParts) {
  // Batches of four rows, 1 MiB; a last one of two.
  const Plan plan({.size = 22}, {.batch_size = 4, .shuffle = true, .seed = 3});
  for (const int threads : {1, 2, 4, 9}) {
    Judged judged({Numbers(22, 32'768)}, plan, {1, 2, -1, true}, threads);
    CHECK_EQ(judged.Wrong(Range(0, 20)), Indexes{});
    CHECK_EQ(judged.Wrong(Picked(1000, 12)), Indexes{});
    CHECK_EQ(judged.Wrong({7, 5, 3, 1, 6, 4, 2, 0}), Indexes{});
  }
}

TEST(IndexedBatches, BatchesWithoutRowsOrBytes) {
  // Two rows for three workers: the first has an empty batch.
  Judged no_rows({Numbers(2)}, Plan({.size = 2}, {.batch_size = 4, .shard_count = 3}), {0, 0, -1});
  CHECK_EQ(no_rows.batches().Get(0).rows, 0);
  CHECK_EQ(no_rows.Wrong(Range(0, 50)), Indexes{});
  Judged no_bytes({Numbers(5, 0)}, Plan({.size = 5}, {.batch_size = 2}), {0, 0, -1});
  CHECK_EQ(no_bytes.batches().Get(2).rows, 1);
  CHECK_EQ(no_bytes.Wrong(Range(0, 50)), Indexes{});
}

// --- The ends.

TEST(IndexedBatches, WithoutBatchesNoIndexIsInside) {
  for (const int64_t epochs : {-1, 0, 7}) {
    IndexedBatches none({Numbers(0)}, Plan({.size = 0}, {.batch_size = 2}), {0, 0, epochs},
                        {.threads = 2});
    IndexedBatches dropped({Numbers(3)},
                           Plan({.size = 3}, {.batch_size = 4, .drop_remainder = true}),
                           {0, 0, epochs}, {.threads = 2});
    for (const int64_t index : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1}, INT64_MAX}) {
      CHECK_THROWS(none.Get(index), IndexError, "of 0 batches");
      CHECK_THROWS(dropped.Get(index), IndexError, "of 0 batches");
    }
  }
}

TEST(IndexedBatches, TheErrorSaysWhatThereIs) {
  const Plan plan({.size = 10}, {.batch_size = 2});
  IndexedBatches some({Numbers(10)}, plan, {0, 3, 2}, {.threads = 2});
  CHECK_THROWS(some.Get(7), IndexError,
               "batch 7 is out of range for 2 epochs of 5 batches from batch 3 on");
  IndexedBatches endless({Numbers(10)}, plan, {0, 3, -1}, {.threads = 2});
  CHECK_THROWS(endless.Get(-5), IndexError,
               "batch -5 is out of range for endless epochs of 5 batches from batch 3 on");
}

TEST(IndexedBatches, TheLargestIndexes) {
  const Plan plan({.size = 10}, {.batch_size = 2, .shuffle = true, .seed = 4});
  for (const int64_t start : {0, 1, 5}) {
    for (const int64_t epochs : {int64_t{-1}, INT64_MAX, INT64_MAX / 2}) {
      for (const bool single_epochs : {false, true}) {
        Judged judged({Numbers(10)}, plan, {UINT64_MAX - 3, start, epochs, single_epochs});
        // Beyond this, what is counted does not fit in 63 bits.
        const int64_t last = INT64_MAX - start - 1;
        CHECK_EQ(judged.Wrong({last, last - 1, last - 7}), Indexes{});
        CHECK_EQ(judged.Wrong(Range(last - 20, last)), Indexes{});
        CHECK_EQ(judged.Wrong({last, 0, last}), Indexes{});
        for (int64_t index = INT64_MAX; index > last; --index)
          CHECK_THROWS(judged.batches().Get(index), IndexError, std::to_string(index));
        CHECK_THROWS(judged.batches().Get(INT64_MIN), IndexError, std::to_string(INT64_MIN));
        CHECK_EQ(judged.Wrong({0, 1, 2}), Indexes{});
      }
    }
  }
}

TEST(IndexedBatches, AnIndexOutsideLeavesTheOthersAlone) {
  const Plan plan({.size = 100}, {.batch_size = 3});
  Judged judged({Numbers(100)}, plan, {0, 0, 1});
  for (int64_t i = 0; i < judged.items(); ++i) {
    CHECK_EQ(judged.Wrong({i}), Indexes{});
    CHECK_THROWS(judged.batches().Get(34 + i), IndexError, "");
    CHECK_THROWS(judged.batches().Get(-1 - i), IndexError, "");
  }
}

// --- Sequences.

TEST(IndexedBatches, InterleavedSequencesDoNotDisturbEachOther) {
  const Plan plan({.size = 301}, {.batch_size = 2, .shuffle = true, .seed = 8});
  for (const int64_t sequences : {2, 8, 9, 20}) {  // as many as are remembered, and more
    for (const int64_t apart : {0, 1, 40, 151}) {
      Judged judged({Numbers(301)}, plan, {0, 10, -1, true});
      for (int64_t step = 0; step < 40; ++step) {
        Indexes indexes;
        for (int64_t s = 0; s < sequences; ++s) indexes.push_back(s * apart + step);
        CHECK_EQ(judged.Wrong(indexes), Indexes{});
      }
    }
  }
}

TEST(IndexedBatches, SequencesOfDifferentSpeed) {
  const Plan plan({.size = 500}, {.shuffle = true, .seed = 8});
  Judged judged({Numbers(500)}, plan, {0, 0, 2});
  std::mt19937_64 random(5);
  Indexes next(12);
  for (int i = 0; i < 5000; ++i) {
    int64_t& index = next[random() % 12 * (random() % 12) / 12];
    if (index == judged.items() || random() % 300 == 0) index = Picked(1000, 1, random())[0];
    CHECK_EQ(judged.Wrong({index}), Indexes{});
    ++index;
  }
}

// --- Several readers.

// Readers of several threads: `next` gives each its next index, until that is `last`. Returns the
// indexes that were wrong.
Indexes WrongOfReaders(Judged& judged, int readers, const std::function<int64_t(int)>& next,
                       int64_t last) {
  std::mutex mutex;
  Indexes wrong;
  std::vector<std::thread> threads;
  for (int reader = 0; reader < readers; ++reader) {
    threads.emplace_back([&, reader] {
      for (int64_t i = next(reader); i < last; i = next(reader)) {
        Indexes bad;
        try {
          bad = judged.Wrong({i});
        } catch (const std::exception&) {
          bad = {i};
        }
        const std::lock_guard lock(mutex);
        wrong.insert(wrong.end(), bad.begin(), bad.end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return wrong;
}

TEST(Readers, TakeTurnsInOneSequence) {
  const Plan plan({.size = 1000}, {.batch_size = 2, .shuffle = true, .seed = 2});
  Judged judged({Numbers(1000)}, plan, {0, 0, -1, true}, 3);
  // Each waits until the one before it has its batch.
  std::mutex turn;
  int64_t index = 0;
  Indexes wrong;
  std::vector<std::thread> threads;
  for (int reader = 0; reader < 4; ++reader) {
    threads.emplace_back([&] {
      for (;;) {
        const std::lock_guard lock(turn);
        if (index == 2000) return;
        const Indexes bad = judged.Wrong({index++});
        wrong.insert(wrong.end(), bad.begin(), bad.end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong, Indexes{});
}

TEST(Readers, RaceInOneSequence) {
  const Plan plan({.size = 1000}, {.batch_size = 2, .shuffle = true, .seed = 2});
  for (const int threads : {1, 4}) {
    Judged judged({Numbers(1000)}, plan, {0, 7, -1, true}, threads);
    std::atomic<int64_t> index{0};
    CHECK_EQ(WrongOfReaders(judged, 6, [&](int) { return index++; }, 3000), Indexes{});
  }
}

TEST(Readers, HaveTheirOwnSequences) {
  const Plan plan({.size = 1000}, {.batch_size = 2, .shuffle = true, .seed = 2});
  for (const int64_t apart : {0, 1, 100}) {
    Judged judged({Numbers(1000)}, plan, {0, 0, 4}, 2);
    std::vector<int64_t> index(12);
    for (int64_t reader = 0; reader < 12; ++reader)
      index[static_cast<size_t>(reader)] = reader * apart;
    const auto next = [&](int reader) { return index[static_cast<size_t>(reader)]++; };
    CHECK_EQ(WrongOfReaders(judged, 12, next, 1400), Indexes{});
  }
}

TEST(Readers, PickAtRandom) {
  const Plan plan({.size = 400}, {.batch_size = 2, .shuffle = true, .seed = 2});
  Judged judged({Numbers(400, 1024)}, plan, {0, 3, -1, true}, 3);
  std::vector<Indexes> indexes;
  for (uint64_t reader = 0; reader < 4; ++reader) {
    indexes.push_back(Picked(900, 150, reader));
    indexes.back().push_back(900);
  }
  std::vector<size_t> at(4);
  const auto next = [&](int reader) {
    return indexes[static_cast<size_t>(reader)][at[static_cast<size_t>(reader)]++];
  };
  CHECK_EQ(WrongOfReaders(judged, 4, next, 900), Indexes{});
}

// --- What is kept.

int64_t UsedBytes() { return BufferPool::Shared().used_bytes(); }

TEST(Memory, NothingIsMadeBeyondASinglePass) {
  const Plan plan({.size = 10}, {.batch_size = 2});
  const int64_t before = UsedBytes();
  for (const int64_t start : {0, 3}) {
    IndexedBatches single({Numbers(10)}, plan, {0, start, -1, true}, {.threads = 2});
    for (int64_t pass = 0; pass < 3; ++pass) {
      // To the end of the pass, from its beginning or from where the run begins.
      for (int64_t i = std::max<int64_t>(pass * 5 - start, 0); i < (pass + 1) * 5 - start; ++i)
        single.Get(i);
      WaitUntil([before] { return UsedBytes() == before; });
    }
    IndexedBatches endless({Numbers(10)}, plan, {0, start, -1, false}, {.threads = 2});
    for (int64_t i = 0; i < 5 - start; ++i) endless.Get(i);
    WaitUntil([before] { return UsedBytes() > before; });
  }
}

TEST(Memory, APassAtItsEndIsLetGo) {
  const Plan plan({.size = 40}, {.batch_size = 2});
  const int64_t before = UsedBytes();
  Judged judged({Numbers(40)}, plan, {0, 0, 3});
  for (int i = 0; i < 12; ++i) CHECK_EQ(judged.Wrong(Range(0, 60)), Indexes{});
  WaitUntil([before] { return UsedBytes() == before; });
}

TEST(Memory, OneThatIsPickedMakesNoOther) {
  const Plan plan({.size = 100}, {.batch_size = 2});
  const int64_t before = UsedBytes();
  IndexedBatches batches({Numbers(100)}, plan, {0, 0, -1}, {.threads = 2});
  for (const int64_t i : {77, 7, 30, 1, 99, 7, 30, 12, 7}) batches.Get(i);
  CHECK_EQ(UsedBytes(), before);
  batches.Get(8);  // two in a row
  WaitUntil([before] { return UsedBytes() > before; });
}

TEST(Memory, GoesBackWhereverTheReadersStop) {
  const Plan plan({.size = 60}, {.batch_size = 2, .shuffle = true});
  const int64_t before = UsedBytes();
  for (int i = 0; i < 60; ++i) {
    // Whoever reads them afterwards is seen by AddressSanitizer.
    const auto numbers = std::make_unique<std::vector<int64_t>>(Counting<int64_t>(60));
    std::optional<IndexedBatches> batches;
    batches.emplace(Leaves{View(numbers->data(), {60, 4096}, {8, 0})}, plan,
                    IndexedBatches::Epochs{0, 0, -1, i % 2 > 0},
                    BatchStream::Options{.threads = 1 + i % 4});
    for (int64_t s = 0; s < i % 12; ++s) {
      for (int64_t step = 0; step < 1 + s % 3; ++step) batches->Get(30 * s + step);
    }
    batches.reset();
    WaitUntil([before] { return UsedBytes() == before; });
  }
}

TEST(Memory, BatchesOutliveThem) {
  const Plan plan({.size = 60}, {.batch_size = 2});
  const int64_t before = UsedBytes();
  std::vector<Batch> kept;
  {
    IndexedBatches batches({Numbers(60)}, plan, {0, 0, -1}, {.threads = 3});
    for (const int64_t i : {0, 1, 2, 50, 51, 7}) kept.push_back(batches.Get(i));
  }
  CHECK_EQ(Content(kept[4], {Numbers(60)}), (std::vector<int64_t>{42, 43, 2}));
  CHECK_EQ(Content(kept[5], {Numbers(60)}), (std::vector<int64_t>{14, 15, 2}));
  kept.clear();
  WaitUntil([before] { return UsedBytes() == before; });
}

// --- Errors.

// Rows that no memory holds, and of each pass a last batch without rows: batches 0 and 1 of 3 fail.
TEST(Errors, StayWithTheirBatch) {
  const std::byte none{};
  const Leaves leaves = {View(&none, {5, int64_t{1} << 50}, {0, 0})};
  const Plan plan({.size = 5}, {.shard_count = 2});
  CHECK_EQ(plan.batches(), 3);
  for (const int threads : {1, 3}) {
    for (const bool single_epochs : {false, true}) {
      IndexedBatches batches(leaves, plan, {0, 0, -1, single_epochs}, {.threads = threads});
      const auto check = [&batches](int64_t i) {
        if (i % 3 < 2) {
          CHECK_THROWS(batches.Get(i), std::bad_alloc, "");
        } else {
          CHECK_EQ(batches.Get(i).rows, 0);
        }
      };
      for (int64_t i = 0; i < 20; ++i) check(i);
      for (int64_t i = 20; i >= 0; --i) check(i);
      for (const int64_t i : Picked(100, 50)) check(i);
    }
  }
}

// Behind an error a sequence goes on with what has been made ahead.
TEST(Errors, EndNoSequence) {
  const testing::TempFolder folder;
  std::vector<std::string> paths;
  for (int64_t i = 0; i < 200; ++i) {
    paths.push_back(folder / (std::to_string(i) + ".npy"));
    testing::WriteNpy(paths.back(), "'<i8'", {}, std::as_bytes(std::span(&i, 1)));
  }
  const auto is_bad = [](int64_t i) { return i % 50 == 7; };
  for (int64_t i = 0; i < 200; ++i)
    if (is_bad(i)) testing::WriteFile(paths[static_cast<size_t>(i)], "none");
  const auto gather = std::make_shared<Gather>(Array::OpenRowFiles(paths), Fields::kTogether);
  const auto statistics = std::make_shared<Statistics>();
  IndexedBatches batches({gather}, Plan({.size = 200}, {}), {0, 0, 2},
                         {.threads = 2, .statistics = statistics});
  for (int64_t i = 0; i < 200; ++i) {
    if (is_bad(i)) {
      CHECK_THROWS(batches.Get(i), FormatError, "");
      // More than this would be that of a stream which begins anew.
      WaitUntil([&] { return statistics->batches_ahead >= std::min<int64_t>(40, 190 - i); });
    } else {
      CHECK_EQ(Content(batches.Get(i), {gather}), (std::vector<int64_t>{i, 1}));
    }
  }
  CHECK_EQ(statistics->batches.load(), 196);
}

TEST(Errors, AreSeenByEachReaderThatMeetsThem) {
  const std::byte none{};
  const Leaves leaves = {View(&none, {5, int64_t{1} << 50}, {0, 0})};
  IndexedBatches batches(leaves, Plan({.size = 5}, {.shard_count = 2}), {0, 0, -1, true},
                         {.threads = 2});
  std::atomic<int64_t> index{0};
  std::atomic<int> errors{0};
  std::atomic<int> empty{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&] {
      while (index < 600) {
        try {
          if (batches.Get(index++).rows == 0) ++empty;
        } catch (const std::bad_alloc&) {
          ++errors;
        }
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  CHECK_EQ(errors + empty, index.load());
  CHECK(empty >= 200 && empty <= 202);
}

TEST(Errors, EndWhenThereIsMemoryAgain) {
  if (testing::kAddressSanitizer || testing::kThreadSanitizer)
    SKIP("a sanitizer's shadow memory leaves no room for a limit");
  IN_CHILD([] {
    // Batches of 72 MiB: the pool keeps no blocks of such a size.
    const Leaves leaves = {Numbers(9, 9 << 20)};
    const Plan plan({.size = 9}, {.shuffle = true, .seed = 1});
    IndexedBatches batches(leaves, plan, {0, 0, -1, true}, {.threads = 2});
    ThreadPool::Shared().Grow(1);
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit limit{};
    CHECK_EQ(::getrlimit(RLIMIT_AS, &limit), 0);
    const rlim_t unlimited = limit.rlim_cur;
    limit.rlim_cur = static_cast<rlim_t>(pages * 4096 + (16 << 20));
    CHECK_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
    for (const int64_t i : {0, 1, 4, 5, 0, 9}) CHECK_THROWS(batches.Get(i), std::bad_alloc, "");
    limit.rlim_cur = unlimited;
    CHECK_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
    // The next of a sequence that has failed, and those that failed.
    for (const int64_t i : {6, 7, 1, 0, 1, 5, 9, 10}) {
      std::vector<int64_t> row(1);
      plan.Fill(static_cast<uint64_t>(i / 9), i % 9, row);
      const Batch batch = batches.Get(i);
      CHECK_EQ(batch.rows, 1);
      const auto* numbers = reinterpret_cast<const int64_t*>(batch.columns[0].get());
      CHECK(std::all_of(numbers, numbers + (9 << 20), [&](int64_t n) { return n == row[0]; }));
    }
  });
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
