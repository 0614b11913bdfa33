#include "core/stream/batch_stream.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "core/os/thread_pool.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;
using Result = BatchStream::Result;
using Items = std::vector<int64_t>;
using testing::Counting;

constexpr auto kPatience = 300s;  // what takes longer hangs

// Rows 0, 1, 2, ... and batches of one row: item i is the number i, as far as one epoch goes.
std::shared_ptr<const Gather> Numbers(int64_t rows) {
  static const std::vector<int64_t>* const numbers =
      new std::vector<int64_t>(Counting<int64_t>(10'000));
  const std::vector<int64_t> shape = {rows};
  const std::vector<int64_t> strides = {8};
  return std::make_shared<Gather>(Array::View(reinterpret_cast<const std::byte*>(numbers->data()),
                                              testing::DtypeOf("'<i8'"), shape, strides),
                                  Fields::kTogether);
}

constexpr int64_t kLargeRow = 32'768;  // numbers: 256 KiB

// The same numbers, but each of them fills a row.
std::shared_ptr<const Gather> LargeNumbers(int64_t rows) {
  static const std::vector<int64_t>* const numbers =
      new std::vector<int64_t>(Counting<int64_t>(1000));
  const std::vector<int64_t> shape = {rows, kLargeRow};
  const std::vector<int64_t> strides = {8, 0};
  return std::make_shared<Gather>(Array::View(reinterpret_cast<const std::byte*>(numbers->data()),
                                              testing::DtypeOf("'<i8'"), shape, strides),
                                  Fields::kTogether);
}

using Hook = std::function<void(int64_t item)>;

// Calls the hook before it makes an item: to see who makes it, to be late, or to fail.
class HookedMaker : public BatchBuilder {
 public:
  HookedMaker(int64_t rows, int64_t epochs, Hook hook)
      : BatchBuilder({Numbers(rows)}, Plan({.size = rows}, {}), {.epochs = epochs}),
        hook_(std::move(hook)) {}

  void Fill(int64_t item, int part, int parts, const Batch& batch, const Stop& stop,
            RowsAhead* ahead) const override {
    hook_(item);
    BatchBuilder::Fill(item, part, parts, batch, stop, ahead);
  }

 private:
  Hook hook_;
};

std::shared_ptr<const BatchBuilder> Counter(int64_t rows, int64_t epochs = 1) {
  return std::make_shared<BatchBuilder>(std::vector<std::shared_ptr<const Gather>>{Numbers(rows)},
                                        Plan({.size = rows}, {}), Run{.epochs = epochs});
}

std::shared_ptr<const BatchBuilder> Hooked(int64_t rows, Hook hook, int64_t epochs = 1) {
  return std::make_shared<HookedMaker>(rows, epochs, std::move(hook));
}

// Calls Next until it gives an item or the end.
Result Wait(BatchStream& stream, Batch* batch) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  Result result = stream.TryNext(batch);
  while (result == Result::kNotYet) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("no item comes");
    result = stream.Next(batch, 50ms);
  }
  return result;
}

// The next `most` items, or those there are.
Items Read(BatchStream& stream, int64_t most = 1'000'000) {
  Items items;
  Batch batch;
  while (std::ssize(items) < most && Wait(stream, &batch) == Result::kItem) {
    Items item(static_cast<size_t>(batch.rows));
    std::memcpy(item.data(), batch.columns[0].get(), item.size() * sizeof(int64_t));
    items.insert(items.end(), item.begin(), item.end());
  }
  return items;
}

Items Range(int64_t first, int64_t last) {
  Items items(static_cast<size_t>(last - first));
  std::iota(items.begin(), items.end(), first);
  return items;
}

void WaitUntil(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    CHECK(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(1ms);
  }
}

// --- Where there is nothing left to be had.

// The first test: the C library keeps the stacks of threads that were, for threads to come.
TEST(BatchStream, WithoutThreadsTheReaderMakesAll) {
  if (testing::kAddressSanitizer || testing::kThreadSanitizer)
    SKIP("a sanitizer's shadow memory leaves no room for a limit");
  IN_CHILD([] {
    // The stack of a thread takes 8 MiB of addresses, of which there are 2 left.
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit{static_cast<rlim_t>(pages * 4096 + (2 << 20)), RLIM_INFINITY};
    CHECK_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
    CHECK_THROWS((ThreadPool::Shared().Grow(1), 0), std::system_error, "");
    BatchStream stream(Counter(500), {.threads = 4});
    CHECK_EQ(Read(stream), Counting<int64_t>(500));
    int calls = 0;
    ThreadPool::Shared().ParallelFor(3, [&calls](int) { ++calls; });
    CHECK_EQ(calls, 3);
  });
}

// --- Order.

TEST(BatchStream, ItemsComeInOrderHoweverManyMakeThem) {
  for (const int threads : {1, 2, 3, 5, 9}) {
    for (const int64_t ahead_items : {1, 2, 7, 64, 1024}) {
      for (const int64_t ahead_bytes : {0, 100, 1 << 20}) {
        BatchStream stream(Counter(700, 2), {threads, ahead_bytes, ahead_items});
        Items wanted = Counting<int64_t>(700);
        wanted.insert(wanted.end(), wanted.begin(), wanted.end());
        CHECK_EQ(Read(stream), wanted);
        CHECK_EQ(stream.position(), 1400);
        CHECK_EQ(Read(stream), Items{});
      }
    }
  }
}

TEST(BatchStream, ItemsComeInOrderHoweverLongEachTakes) {
  const Hook hook = [](int64_t item) {
    if (item % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(item * 37 % 900));
  };
  for (const int threads : {1, 2, 4}) {
    BatchStream stream(Hooked(400, hook), {.threads = threads, .ahead_items = 32});
    CHECK_EQ(Read(stream), Counting<int64_t>(400));
  }
}

TEST(BatchStream, GivesWhatTheMakerMakes) {
  for (const int64_t group : {1, 4}) {
    const auto maker = std::make_shared<BatchBuilder>(
        std::vector<std::shared_ptr<const Gather>>{Numbers(5003)},
        Plan({.size = 5003}, {.batch_size = 16, .shuffle = true, .seed = 9}),
        Run{.start_epoch = 2, .start_batch = 33, .epochs = 3, .group = group});
    Items wanted;
    for (int64_t i = 0; i < maker->items(); ++i) {
      const Batch batch = maker->Make(i);
      const auto* first = reinterpret_cast<const int64_t*>(batch.columns[0].get());
      wanted.insert(wanted.end(), first, first + batch.rows);
    }
    CHECK_EQ(std::ssize(wanted), 3 * 5003 - 33 * 16);
    BatchStream stream(maker, {.threads = 3});
    CHECK_EQ(Read(stream), wanted);
    CHECK_EQ(stream.position(), maker->items());
  }
}

TEST(BatchStream, WithoutItemsItEndsAtOnce) {
  BatchStream none(Counter(0), {.threads = 3});
  CHECK_EQ(Read(none), Items{});
  BatchStream no_epoch(Counter(10, 0), {.threads = 3});
  CHECK_EQ(Read(no_epoch), Items{});
}

TEST(BatchStream, EndlessRunsGoOn) {
  BatchStream stream(Counter(10, -1), {.threads = 3, .ahead_items = 16});
  for (int64_t i = 0; i < 5000; ++i) CHECK_EQ(Read(stream, 1), Items{i % 10});
  CHECK_EQ(stream.position(), 5000);
}

// --- How far ahead.

TEST(BatchStream, MakesNoMoreThanItMayAhead) {
  for (const int64_t ahead : {4, 16, 200}) {
    std::atomic<int64_t> made{0};
    const Hook hook = [&made](int64_t) { ++made; };
    BatchStream stream(Hooked(10, hook, -1), {.threads = 3, .ahead_items = ahead});
    // Workers alone get so far that no whole run fits in, which is up to an eighth; a reader adds
    // what it takes out.
    const int64_t run = std::max<int64_t>(ahead / 8, 1);
    WaitUntil([&] { return made > ahead - run; });
    std::this_thread::sleep_for(10ms);
    CHECK(made <= ahead);
    for (int i = 0; i < 500; ++i) {
      Read(stream, 1);
      CHECK(made <= stream.position() + ahead + run);
    }
  }
}

TEST(BatchStream, MemoryBoundsItToo) {
  // Items of 8 bytes: 5 of them are 40; but never fewer than one for each thread, and one more.
  for (const auto& [bytes, threads, items] :
       std::vector<std::tuple<int64_t, int, int64_t>>{{40, 2, 5}, {0, 2, 3}, {8, 7, 8}}) {
    std::atomic<int64_t> made{0};
    BatchStream stream(
        Hooked(10, [&made](int64_t) { ++made; }, -1), {.threads = threads, .ahead_bytes = bytes});
    WaitUntil([&made = made, wanted = items] { return made >= wanted; });
    std::this_thread::sleep_for(10ms);
    CHECK_EQ(made.load(), items);
  }
}

TEST(BatchStream, BlocksGoBackToThePool) {
  const int64_t before = BufferPool::Shared().used_bytes();
  {
    BatchStream stream(Counter(1000), {.threads = 3});
    Read(stream, 100);
    CHECK(BufferPool::Shared().used_bytes() > before);
  }
  // A worker that has just been waited for may still hold the last of it.
  WaitUntil([before] { return BufferPool::Shared().used_bytes() == before; });
}

// --- Waiting.

TEST(BatchStream, AReaderThatWaitsMakesWhatItCan) {
  std::atomic<bool> open{false};
  std::atomic<bool> started{false};
  const auto reader = std::this_thread::get_id();
  std::atomic<int> by_reader{0};
  const Hook hook = [&](int64_t item) {
    if (std::this_thread::get_id() == reader) ++by_reader;
    if (item == 0) {
      started = true;
      while (!open) std::this_thread::sleep_for(1ms);
    }
  };
  BatchStream stream(Hooked(100, hook), {.threads = 2, .ahead_items = 10});
  WaitUntil([&] { return started.load(); });
  Batch batch;
  CHECK(stream.TryNext(&batch) == Result::kNotYet);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(stream.Next(&batch, 30ms) == Result::kNotYet);
  CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
  CHECK_EQ(by_reader.load(), 9);
  CHECK_EQ(stream.position(), 0);
  open = true;
  CHECK_EQ(Read(stream), Counting<int64_t>(100));
}

TEST(BatchStream, TryNextGivesWhatLiesReady) {
  BatchStream stream(Counter(1000), {.threads = 1, .ahead_items = 1000});
  Items items;
  int64_t ready = 0;
  Batch batch;
  for (;;) {
    Result result = stream.TryNext(&batch);
    if (result == Result::kItem) ++ready;
    if (result == Result::kNotYet) result = stream.Next(&batch, 1000ms);
    if (result == Result::kEnd) break;
    if (result == Result::kItem)
      items.push_back(*reinterpret_cast<const int64_t*>(batch.columns[0].get()));
  }
  CHECK_EQ(items, Counting<int64_t>(1000));
  CHECK(ready > 0);
}

TEST(BatchStream, AnyTimeoutWillDo) {
  BatchStream stream(Counter(3), {});
  Batch batch;
  CHECK(stream.Next(&batch, std::chrono::milliseconds::max()) == Result::kItem);
  while (stream.Next(&batch, 0ms) == Result::kNotYet) {
  }
  CHECK(Wait(stream, &batch) == Result::kItem);
  CHECK(stream.Next(&batch, std::chrono::milliseconds::max()) == Result::kEnd);
}

// --- Errors.

struct TestError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What the stream gives until it ends: the items, and -1 - i in the place of an item i whose error
// it tells.
Items ReadThrough(BatchStream& stream) {
  Items items;
  for (;;) {
    try {
      const Items next = Read(stream, 1);
      if (next.empty()) return items;
      items.insert(items.end(), next.begin(), next.end());
    } catch (const TestError& error) {
      items.push_back(-1 - std::stoll(error.what()));
    }
  }
}

// An item that some can't be made, and the items that there are.
bool IsBad(int64_t item) { return item % 7 == 3 || (item >= 20 && item < 30); }

Items WithErrors(int64_t first, int64_t last) {
  Items items;
  for (int64_t item = first; item < last; ++item) items.push_back(IsBad(item) ? -1 - item : item);
  return items;
}

void FailWhereBad(int64_t item) {
  if (IsBad(item)) throw TestError(std::to_string(item));
}

TEST(BatchStream, AnErrorComesOnceInItsPlace) {
  for (const int threads : {1, 2, 4}) {
    for (const int64_t place : {0, 1, 5, 100, 299}) {
      const Hook hook = [place](int64_t item) {
        if (item == place) throw TestError("item " + std::to_string(item));
      };
      BatchStream stream(Hooked(300, hook), {.threads = threads, .ahead_items = 40});
      CHECK_EQ(Read(stream, place), Range(0, place));
      Batch batch;
      CHECK_THROWS(Wait(stream, &batch), TestError, "item " + std::to_string(place));
      CHECK_EQ(stream.position(), place + 1);
      CHECK_EQ(Read(stream), Range(place + 1, 300));
      CHECK_EQ(stream.position(), 300);
    }
  }
}

TEST(BatchStream, TimeGoesOnFromTheFirstRequestOn) {
  const auto statistics = std::make_shared<Statistics>();
  BatchStream stream(Hooked(3, FailWhereBad), {.threads = 1, .statistics = statistics});
  const auto elapsed_ns = [&] { return statistics->Counters().back(); };
  CHECK_EQ(elapsed_ns(), 0);
  const auto begin = std::chrono::steady_clock::now();
  ReadThrough(stream);
  const int64_t first = statistics->begun_ns;
  CHECK(elapsed_ns() > 0);
  CHECK(std::chrono::steady_clock::now() - begin >=
        std::chrono::nanoseconds(elapsed_ns()) - std::chrono::milliseconds(1));
  ReadThrough(stream);  // the end, again
  CHECK_EQ(statistics->begun_ns.load(), first);
}

TEST(BatchStream, ErrorsTakeThePlacesOfTheirItemsAlone) {
  for (const int threads : {1, 2, 4}) {
    for (const int64_t ahead : {1, 3, 40, 1024}) {
      const auto statistics = std::make_shared<Statistics>();
      BatchStream stream(Hooked(300, FailWhereBad),
                         {.threads = threads, .ahead_items = ahead, .statistics = statistics});
      const Items wanted = WithErrors(0, 300);
      CHECK_EQ(ReadThrough(stream), wanted);
      CHECK_EQ(stream.position(), 300);
      CHECK_EQ(ReadThrough(stream), Items{});
      const int64_t made =
          std::count_if(wanted.begin(), wanted.end(), [](int64_t i) { return i >= 0; });
      CHECK_EQ(statistics->batches.load(), made);
      CHECK_EQ(statistics->rows.load(), made);
      CHECK_EQ(statistics->batches_ahead.load(), 0);
    }
  }
}

// A hook is called for whole items, so that files are needed here: each holds a row.
TEST(BatchStream, GoodBatchesOfABadGroupCome) {
  const testing::TempFolder folder;
  std::vector<std::string> paths;
  for (int64_t i = 0; i < 100; ++i) {
    paths.push_back(folder / (std::to_string(i) + ".npy"));
    testing::WriteNpy(paths.back(), "'<i8'", {}, std::as_bytes(std::span(&i, 1)));
  }
  const std::set<int64_t> bad = {3, 40, 41, 47, 98};
  for (const int64_t i : bad) testing::WriteFile(paths[static_cast<size_t>(i)], "none");
  const auto gather = std::make_shared<Gather>(Array::OpenRowFiles(paths), Fields::kTogether);
  const auto maker =
      std::make_shared<BatchBuilder>(std::vector<std::shared_ptr<const Gather>>{gather},
                                     Plan({.size = 100}, {.batch_size = 2}), Run{.group = 8});
  for (const int threads : {1, 3}) {
    BatchStream stream(maker, {.threads = threads});
    Items got;
    for (bool more = true; more;) {
      try {
        const Items next = Read(stream, 1);
        got.insert(got.end(), next.begin(), next.end());
        more = !next.empty();
      } catch (const FormatError&) {
        got.push_back(-1);
      }
    }
    Items wanted;
    for (int64_t row = 0; row < 100; row += 2) {
      if (bad.contains(row) || bad.contains(row + 1)) {
        wanted.push_back(-1);
      } else {
        wanted.insert(wanted.end(), {row, row + 1});
      }
    }
    CHECK_EQ(got, wanted);
    CHECK_EQ(stream.position(), maker->items());
  }
}

TEST(BatchStream, ErrorsComeInOrder) {
  // The later one comes long before.
  const Hook hook = [](int64_t item) {
    if (item == 3) std::this_thread::sleep_for(30ms);
    if (item >= 3) throw TestError(std::to_string(item));
  };
  for (const int threads : {1, 2, 4}) {
    BatchStream stream(Hooked(100, hook), {.threads = threads});
    Items wanted = {0, 1, 2};
    for (int64_t item = 3; item < 100; ++item) wanted.push_back(-1 - item);
    CHECK_EQ(ReadThrough(stream), wanted);
  }
}

TEST(BatchStream, ErrorsAreMadeNoFurtherAheadThanItems) {
  std::atomic<int64_t> made{0};
  const Hook hook = [&made](int64_t item) {
    ++made;
    throw TestError(std::to_string(item));
  };
  BatchStream stream(Hooked(10, hook, -1), {.threads = 3, .ahead_items = 100});
  WaitUntil([&] { return made > 50; });
  std::this_thread::sleep_for(50ms);
  CHECK(made <= 100);
  Batch batch;
  for (int64_t item = 0; item < 1000; ++item)
    CHECK_THROWS(Wait(stream, &batch), TestError, std::to_string(item));
  CHECK_EQ(stream.position(), 1000);
}

TEST(BatchStream, AnErrorIsSeenByOneReader) {
  BatchStream stream(Hooked(300, FailWhereBad), {.threads = 3});
  std::vector<Items> got(3);
  std::vector<std::thread> readers;
  for (Items& items : got) readers.emplace_back([&] { items = ReadThrough(stream); });
  for (std::thread& reader : readers) reader.join();
  Items all;
  for (const Items& items : got) all.insert(all.end(), items.begin(), items.end());
  std::sort(all.begin(), all.end());
  Items wanted = WithErrors(0, 300);
  std::sort(wanted.begin(), wanted.end());
  CHECK_EQ(all, wanted);
}

TEST(BatchStream, FilesThatChangeAreTheErrorOfEachItem) {
  for (const int64_t read : {0, 5}) {
    const testing::TempFolder folder;
    const std::string path = folder / "a.npy";
    const auto numbers = Counting<int64_t>(100);
    testing::WriteNpy(path, "'<i8'", {100}, std::as_bytes(std::span(numbers)));
    const auto gather =
        std::make_shared<Gather>(Array::Open(std::vector<std::string>{path}), Fields::kTogether);
    const auto maker = std::make_shared<BatchBuilder>(
        std::vector<std::shared_ptr<const Gather>>{gather}, Plan({.size = 100}, {}), Run{});
    const auto statistics = std::make_shared<Statistics>();
    BatchStream stream(maker, {.threads = 2, .statistics = statistics});
    CHECK_EQ(Read(stream, read), Range(0, read));
    testing::WriteNpy(path, "'<f8'", {100}, std::as_bytes(std::span(numbers)));
    // When it began it looks at once, and later when it is time to.
    if (read > 0) std::this_thread::sleep_for(300ms);
    Batch batch;
    for (int64_t i = read; i < 100; ++i) {
      CHECK_EQ(stream.position(), i);
      // FormatError for those that were made in the very moment in which it was empty.
      CHECK_THROWS(Wait(stream, &batch), Error, path);
    }
    CHECK(Wait(stream, &batch) == Result::kEnd);
    CHECK_EQ(statistics->batches.load(), read);
    CHECK_EQ(statistics->batches_ahead.load(), 0);
  }
}

TEST(BatchStream, AnUnreadErrorIsNoHarm) {
  for (int i = 0; i < 50; ++i) {
    BatchStream stream(Hooked(100, [](int64_t) { throw std::bad_alloc(); }), {.threads = 3});
  }
}

TEST(BatchStream, AClosedStreamTellsOfNoError) {
  BatchStream stream(Hooked(100, [](int64_t) { throw TestError("never seen"); }), {.threads = 2});
  stream.Close();
  CHECK_EQ(Read(stream), Items{});
}

// --- Items that are made in parts.

using PartHook = std::function<void(int64_t item, int part)>;

// Batches of four rows, of which each is its own number over and over: 1 MiB.
class LargeMaker : public BatchBuilder {
 public:
  LargeMaker(int64_t rows, int64_t epochs, PartHook hook)
      : BatchBuilder({LargeNumbers(rows)}, Plan({.size = rows}, {.batch_size = 4}),
                     {.epochs = epochs}),
        hook_(std::move(hook)) {}

  void Fill(int64_t item, int part, int parts, const Batch& batch, const Stop& stop,
            RowsAhead* ahead) const override {
    hook_(item, part);
    BatchBuilder::Fill(item, part, parts, batch, stop, ahead);
  }

 private:
  PartHook hook_;
};

// The items that come next, one number for each row that is as it should be.
Items ReadLarge(BatchStream& stream, int64_t most = 1'000'000) {
  Items items;
  Batch batch;
  for (int64_t i = 0; i < most && Wait(stream, &batch) == Result::kItem; ++i) {
    const auto* numbers = reinterpret_cast<const int64_t*>(batch.columns[0].get());
    for (int64_t row = 0; row < batch.rows; ++row, numbers += kLargeRow) {
      const bool right = std::all_of(numbers, numbers + kLargeRow,
                                     [numbers](int64_t number) { return number == *numbers; });
      items.push_back(right ? *numbers : -1);
    }
  }
  return items;
}

TEST(Parts, MakeTheSameItems) {
  for (const int threads : {1, 2, 3, 4, 9}) {
    std::mutex mutex;
    std::map<int64_t, std::multiset<int>> parts;
    const PartHook hook = [&](int64_t item, int part) {
      const std::lock_guard lock(mutex);
      parts[item].insert(part);
    };
    BatchStream stream(std::make_shared<LargeMaker>(42, 1, hook), {.threads = threads});
    CHECK_EQ(ReadLarge(stream), Range(0, 42));
    CHECK_EQ(stream.position(), 11);
    CHECK_EQ(parts.size(), 11u);
    for (const auto& [item, made] : parts) {
      CHECK_EQ(std::ssize(made), std::min(threads, 4));
      for (int part = 0; part < std::ssize(made); ++part) CHECK_EQ(made.count(part), 1u);
    }
  }
}

TEST(Parts, AreMadeByThreadsAtOnce) {
  // Each part of item 0 waits for all the others.
  std::atomic<int> arrived{0};
  const PartHook hook = [&arrived](int64_t item, int) {
    if (item > 0) return;
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  };
  BatchStream stream(std::make_shared<LargeMaker>(12, 1, hook), {.threads = 3});
  CHECK_EQ(ReadLarge(stream), Range(0, 12));
}

TEST(Parts, AnErrorInAnyOfThemComesAtItsPlace) {
  for (const int threads : {2, 4}) {
    for (int bad = 0; bad < threads; ++bad) {
      for (const int64_t place : {0, 5}) {
        const PartHook hook = [=](int64_t item, int part) {
          if (part != bad) std::this_thread::sleep_for(std::chrono::microseconds(300 * part));
          if (item == place && part == bad) throw TestError("part " + std::to_string(part));
        };
        BatchStream stream(std::make_shared<LargeMaker>(60, 1, hook), {.threads = threads});
        CHECK_EQ(ReadLarge(stream, place), Range(0, 4 * place));
        Batch batch;
        CHECK_THROWS(Wait(stream, &batch), TestError, "part " + std::to_string(bad));
        CHECK_EQ(stream.position(), place + 1);
        CHECK_EQ(ReadLarge(stream), Range(4 * (place + 1), 60));
      }
    }
  }
}

TEST(Parts, AnErrorInAllOfThemIsOne) {
  const PartHook hook = [](int64_t item, int) {
    if (item % 2 > 0) throw TestError(std::to_string(item));
  };
  BatchStream stream(std::make_shared<LargeMaker>(60, 1, hook), {.threads = 4});
  Batch batch;
  for (int64_t item = 0; item < 15; item += 2) {
    CHECK_EQ(ReadLarge(stream, 1), Range(4 * item, 4 * item + 4));
    if (item < 14) CHECK_THROWS(Wait(stream, &batch), TestError, std::to_string(item + 1));
  }
  CHECK(Wait(stream, &batch) == Result::kEnd);
}

TEST(Parts, ItemsThatNoMemoryHoldsAreAnError) {
  const std::byte one{1};
  const std::vector<int64_t> shape = {1 << 21, int64_t{1} << 43};
  const std::vector<int64_t> strides = {0, 0};
  const auto gather = std::make_shared<Gather>(
      Array::View(&one, testing::DtypeOf("'|u1'"), shape, strides), Fields::kTogether);
  const auto maker = std::make_shared<BatchBuilder>(
      std::vector<std::shared_ptr<const Gather>>{gather},
      Plan({.size = 1 << 21}, {.batch_size = 1 << 20}), Run{.epochs = 10});
  CHECK_EQ(maker->items(), 20);
  BatchStream stream(maker, {.threads = 3});
  Batch batch;
  for (int i = 0; i < 20; ++i) CHECK_THROWS(Wait(stream, &batch), std::bad_alloc, "");
  CHECK_EQ(stream.position(), 20);
  CHECK(Wait(stream, &batch) == Result::kEnd);
}

TEST(Parts, CloseAndLeaveInTheMiddle) {
  for (int i = 0; i < 60; ++i) {
    std::atomic<bool> alive{true};
    std::atomic<int> late{0};
    const PartHook hook = [&](int64_t, int part) {
      std::this_thread::sleep_for(std::chrono::microseconds(part * 50));
      if (!alive) ++late;
    };
    {
      BatchStream stream(std::make_shared<LargeMaker>(60, -1, hook), {.threads = 1 + i % 4});
      CHECK_EQ(ReadLarge(stream, i % 5), Range(0, 4 * (i % 5)));
      if (i % 2 > 0) stream.Close();
    }
    alive = false;
    std::this_thread::sleep_for(300us);
    CHECK_EQ(late.load(), 0);
  }
}

TEST(Parts, SeveralReadersGetEachItemOnce) {
  BatchStream stream(std::make_shared<LargeMaker>(400, 1, [](int64_t, int) {}), {.threads = 3});
  std::vector<Items> got(3);
  std::vector<std::thread> readers;
  for (Items& items : got) readers.emplace_back([&] { items = ReadLarge(stream); });
  for (std::thread& reader : readers) reader.join();
  Items all;
  for (const Items& items : got) all.insert(all.end(), items.begin(), items.end());
  std::sort(all.begin(), all.end());
  CHECK_EQ(all, Range(0, 400));
}

TEST(Parts, ChildAndParentBothReadOn) {
  BatchStream stream(std::make_shared<LargeMaker>(40, 1, [](int64_t, int) {}), {.threads = 3});
  for (int64_t read = 0; read < 10; ++read) {
    IN_CHILD([&stream, read] { CHECK_EQ(ReadLarge(stream), Range(4 * read, 40)); });
    CHECK_EQ(ReadLarge(stream, 1), Range(4 * read, 4 * read + 4));
  }
}

// --- The end.

TEST(BatchStream, CloseEndsItWhateverLiesReady) {
  BatchStream stream(Counter(1000), {.threads = 2});
  CHECK_EQ(Read(stream, 10), Range(0, 10));
  stream.Close();
  stream.Close();
  Batch batch;
  CHECK(stream.TryNext(&batch) == Result::kEnd);
  CHECK(stream.Next(&batch, 10ms) == Result::kEnd);
  CHECK_EQ(stream.position(), 10);
}

TEST(BatchStream, CloseWakesAReader) {
  std::atomic<bool> open{false};
  std::atomic<int> made{0};
  const Hook hook = [&](int64_t item) {
    ++made;
    while (item == 0 && !open) std::this_thread::sleep_for(1ms);
  };
  BatchStream stream(Hooked(100, hook), {.threads = 2, .ahead_items = 5});
  WaitUntil([&] { return made == 1; });
  std::atomic<bool> ended{false};
  std::thread reader([&] {
    Batch batch;
    ended = stream.Next(&batch, 1h) == Result::kEnd;
  });
  WaitUntil([&] { return made == 5; });
  std::this_thread::sleep_for(10ms);
  CHECK(!ended);
  stream.Close();
  WaitUntil([&] { return ended.load(); });
  reader.join();
  open = true;
}

// A Close() that falls between the reader's look and its sleep.
TEST(BatchStream, CloseMissesNoReader) {
  const int rounds = testing::kThreadSanitizer ? 300 : 3000;
  for (int i = 0; i < rounds; ++i) {
    BatchStream stream(Counter(10, -1), {.threads = 1 + i % 3, .ahead_items = 4});
    std::atomic<bool> ended{false};
    std::atomic<int64_t> items{0};
    std::thread reader([&] {
      Batch batch;
      while (stream.Next(&batch, 1h) == Result::kItem) ++items;
      ended = true;
    });
    while (items < i % 50) std::this_thread::yield();
    stream.Close();
    WaitUntil([&] { return ended.load(); });
    reader.join();
  }
}

TEST(BatchStream, NothingIsReadOnceItIsGone) {
  for (int i = 0; i < 100; ++i) {
    std::atomic<bool> alive{true};
    std::atomic<int> late{0};
    const Hook hook = [&](int64_t item) {
      std::this_thread::sleep_for(std::chrono::microseconds(item % 5 * 20));
      if (!alive) ++late;
    };
    {
      BatchStream stream(Hooked(1000, hook), {.threads = 1 + i % 4});
      Read(stream, i % 7);
    }
    alive = false;
    std::this_thread::sleep_for(500us);
    CHECK_EQ(late.load(), 0);
  }
}

TEST(BatchStream, ItsMakerGoesWithIt) {
  const std::shared_ptr<const BatchBuilder> maker = Counter(1000);
  {
    BatchStream stream(maker, {.threads = 3});
  }
  WaitUntil([&] { return maker.use_count() == 1; });
}

// What it takes of the CPUs, however busy they are, to let a stream go.
double SecondsToDrop(std::unique_ptr<BatchStream> stream) {
  const std::clock_t begin = std::clock();
  stream = nullptr;
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

constexpr double kAtOnce = testing::kThreadSanitizer || testing::kAddressSanitizer ? 3 : 1;

// Its row numbers alone take a minute.
TEST(BatchStream, AGiantItemIsGivenUp) {
  const std::byte nothing{};
  constexpr int64_t kRows = int64_t{1} << 34;
  const std::vector<int64_t> shape = {kRows, 0};
  const std::vector<int64_t> strides = {0, 0};
  const auto gather = std::make_shared<Gather>(
      Array::View(&nothing, testing::DtypeOf("'|u1'"), shape, strides), Fields::kTogether);
  for (const int threads : {1, 3}) {
    const auto maker = std::make_shared<BatchBuilder>(
        std::vector<std::shared_ptr<const Gather>>{gather},
        Plan({.size = kRows}, {.batch_size = kRows, .shuffle = true}), Run{});
    auto stream = std::make_unique<BatchStream>(maker, BatchStream::Options{.threads = threads});
    std::this_thread::sleep_for(50ms);
    CHECK(SecondsToDrop(std::move(stream)) < kAtOnce);
  }
}

// Blocks of so many rows that a thread which went over them one by one would take long to stop.
TEST(BatchStream, HugeBlocksAreGivenUp) {
  const testing::TempFolder folder;
  const std::string path = folder / "sparse.npy";
  constexpr int64_t kRows = int64_t{1} << 31;
  testing::WriteFile(path, testing::NpyHeader("'|u1'", std::vector<int64_t>{kRows}));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + kRows);
  const auto gather =
      std::make_shared<Gather>(Array::Open(std::vector<std::string>{path}), Fields::kTogether);
  const std::vector<Selection> selections = {
      {.size = kRows},
      {.step = 2, .size = kRows / 2},
      {.size = kRows, .order = Order(kRows, 1, kSplitEpoch)},
  };
  for (const Selection& selection : selections) {
    const int64_t block = selection.size / 2;
    const Plan plan(selection,
                    {.batch_size = 32, .shuffle = true, .seed = 1, .blocks = {block, block}});
    const auto maker = std::make_shared<BatchBuilder>(
        std::vector<std::shared_ptr<const Gather>>{gather}, plan, Run{});
    for (const ReadaheadMode mode : {ReadaheadMode::kRows, ReadaheadMode::kWhole}) {
      auto stream = std::make_unique<BatchStream>(
          maker, BatchStream::Options{.threads = 2, .readahead = mode});
      Batch batch;
      CHECK(Wait(*stream, &batch) == Result::kItem);
      std::this_thread::sleep_for(100ms);
      CHECK(SecondsToDrop(std::move(stream)) < kAtOnce);
    }
  }
}

// --- Several readers, several streams.

TEST(BatchStream, SeveralReadersGetEachItemOnce) {
  for (const int count : {2, 3, 5}) {
    BatchStream stream(Counter(5000), {.threads = 3, .ahead_items = 50});
    std::vector<Items> got(static_cast<size_t>(count));
    std::vector<std::thread> readers;
    for (Items& items : got) readers.emplace_back([&] { items = Read(stream); });
    for (std::thread& reader : readers) reader.join();
    Items all;
    for (const Items& items : got) {
      CHECK(std::is_sorted(items.begin(), items.end()));
      all.insert(all.end(), items.begin(), items.end());
    }
    std::sort(all.begin(), all.end());
    CHECK_EQ(all, Counting<int64_t>(5000));
    CHECK_EQ(stream.position(), 5000);
  }
}

TEST(BatchStream, StreamsShareThePoolFairly) {
  // In a child, where the pool has but the two threads that the first stream asks for.
  IN_CHILD([] {
    std::vector<std::unique_ptr<BatchStream>> streams;
    for (int i = 0; i < 5; ++i) {
      streams.push_back(std::make_unique<BatchStream>(
          Hooked(
              10, [](int64_t) { std::this_thread::sleep_for(100us); }, -1),
          BatchStream::Options{.threads = 3, .ahead_items = 8}));
    }
    for (int64_t item = 0; item < 200; ++item) {
      for (const auto& stream : streams) CHECK_EQ(Read(*stream, 1), Items{item % 10});
    }
  });
}

TEST(BatchStream, StreamsComeAndGoOnManyThreads) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> users;
  for (int u = 0; u < 4; ++u) {
    users.emplace_back([u, &wrong] {
      for (int64_t i = 0; i < 60; ++i) {
        BatchStream stream(Counter(100 + u), {.threads = 1 + u, .ahead_items = 9});
        if (Read(stream, i * 2) != Range(0, std::min<int64_t>(i * 2, 100 + u))) ++wrong;
      }
    });
  }
  for (std::thread& user : users) user.join();
  CHECK_EQ(wrong.load(), 0);
}

TEST(BatchStream, PositionMayBeAskedAtAnyTime) {
  BatchStream stream(Counter(3000), {.threads = 2});
  std::atomic<bool> stop{false};
  std::atomic<bool> fell{false};
  std::thread watcher([&] {
    for (int64_t last = 0; !stop;) {
      const int64_t now = stream.position();
      if (now < last) fell = true;
      last = now;
    }
  });
  const Items items = Read(stream);
  stop = true;
  watcher.join();
  CHECK_EQ(items, Counting<int64_t>(3000));
  CHECK(!fell);
}

// --- fork().

TEST(Fork, ChildAndParentBothReadOn) {
  for (const int threads : {1, 2, 4}) {
    for (const int64_t read : {0, 1, 17, 299, 300}) {
      BatchStream stream(Counter(300), {.threads = threads, .ahead_items = 20});
      CHECK_EQ(Read(stream, read), Range(0, read));
      IN_CHILD([&stream, read] {
        CHECK_EQ(stream.position(), read);
        CHECK_EQ(Read(stream), Range(read, 300));
        CHECK_EQ(stream.position(), 300);
      });
      CHECK_EQ(stream.position(), read);
      CHECK_EQ(Read(stream), Range(read, 300));
    }
  }
}

TEST(Fork, WhateverTheWorkersDoMeanwhile) {
  BatchStream stream(Counter(10, -1), {.threads = 3, .ahead_items = 64});
  const int rounds = testing::kThreadSanitizer ? 10 : 100;
  for (int64_t i = 0; i < rounds; ++i) {
    CHECK_EQ(Read(stream, 1), Items{i % 10});
    IN_CHILD([&stream, i] {
      for (int64_t k = i + 1; k < i + 200; ++k) CHECK_EQ(Read(stream, 1), Items{k % 10});
    });
  }
}

TEST(Fork, ChildrenHaveChildren) {
  BatchStream stream(Counter(100), {.threads = 3});
  Read(stream, 10);
  IN_CHILD([&stream] {
    CHECK_EQ(Read(stream, 10), Range(10, 20));
    IN_CHILD([&stream] { CHECK_EQ(Read(stream), Range(20, 100)); });
    CHECK_EQ(Read(stream), Range(20, 100));
  });
  CHECK_EQ(Read(stream), Range(10, 100));
}

TEST(Fork, AChildMayLetItGoUnread) {
  auto stream = std::make_unique<BatchStream>(Counter(10, -1), BatchStream::Options{.threads = 3});
  Read(*stream, 5);
  IN_CHILD([&stream] { stream = nullptr; });
  IN_CHILD([&stream] {
    Read(*stream, 5);
    stream = nullptr;
  });
  IN_CHILD([&stream] {
    stream->Close();
    CHECK_EQ(Read(*stream), Items{});
    stream = nullptr;
  });
  IN_CHILD([&stream] {
    Batch batch;
    CHECK(stream->TryNext(&batch) == Result::kNotYet);
    CHECK_EQ(Read(*stream, 1), Items{5});
    stream->Close();
    CHECK_EQ(Read(*stream), Items{});
  });
  CHECK_EQ(Read(*stream, 1), Items{5});
}

TEST(Fork, AClosedStreamStaysClosed) {
  BatchStream stream(Counter(100), {.threads = 2});
  stream.Close();
  IN_CHILD([&stream] { CHECK_EQ(Read(stream), Items{}); });
}

TEST(Fork, AnErrorIsMetOnceByEach) {
  for (const int64_t read : {0, 3, 25, 300}) {
    BatchStream stream(Hooked(300, FailWhereBad), {.threads = 3});
    const Items wanted = WithErrors(0, 300);
    for (int64_t i = 0; i < read; ++i) {
      Batch batch;
      if (IsBad(i)) {
        CHECK_THROWS(Wait(stream, &batch), TestError, std::to_string(i));
      } else {
        CHECK(Wait(stream, &batch) == Result::kItem);
      }
    }
    IN_CHILD([&] { CHECK_EQ(ReadThrough(stream), Items(wanted.begin() + read, wanted.end())); });
    CHECK_EQ(ReadThrough(stream), Items(wanted.begin() + read, wanted.end()));
  }
}

TEST(Fork, WhileAnotherThreadReads) {
  // The threads never rest here, and one may be inside the sanitizer's runtime, with its locks.
  if (testing::kAddressSanitizer || testing::kThreadSanitizer)
    SKIP("a sanitizer does not survive such a fork()");
  BatchStream stream(Counter(10'000, -1), {.threads = 3, .ahead_items = 64});
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    Batch batch;
    while (!stop && stream.Next(&batch, 1000ms) != Result::kEnd) {
    }
  });
  std::string failure;
  try {
    for (int i = 0; i < 40; ++i) {
      IN_CHILD([&stream] {
        // The reader may have been between taking an item and counting it.
        const int64_t position = stream.position();
        const Items items = Read(stream, 100);
        CHECK_EQ(items.size(), 100u);
        CHECK_EQ(items[0], position % 10'000);
        for (size_t k = 1; k < items.size(); ++k) CHECK_EQ(items[k], (items[k - 1] + 1) % 10'000);
      });
    }
  } catch (const testing::Failure& e) {
    failure = e.what();
  }
  stop = true;
  reader.join();
  CHECK_EQ(failure, "");
}

TEST(Fork, SeveralReadersInTheChildStartItOverOnce) {
  BatchStream stream(Counter(2000), {.threads = 3, .ahead_items = 64});
  Read(stream, 100);
  for (int i = 0; i < (testing::kThreadSanitizer ? 3 : 30); ++i) {
    IN_CHILD([&stream] {
      std::vector<Items> got(4);
      std::vector<std::thread> readers;
      std::atomic<int> ready{0};
      for (Items& items : got) {
        readers.emplace_back([&] {
          ++ready;
          while (ready < 4) {
          }
          items = Read(stream);
        });
      }
      for (std::thread& reader : readers) reader.join();
      Items all;
      for (const Items& items : got) all.insert(all.end(), items.begin(), items.end());
      std::sort(all.begin(), all.end());
      CHECK_EQ(all, Range(100, 2000));
    });
  }
}

TEST(Fork, OneThreadOfTheChildClosesWhatOthersRead) {
  BatchStream stream(Counter(10, -1), {.threads = 3, .ahead_items = 64});
  for (int i = 0; i < (testing::kThreadSanitizer ? 3 : 30); ++i) {
    IN_CHILD([&stream, i] {
      std::thread reader([&] { Read(stream); });
      std::this_thread::sleep_for(std::chrono::microseconds(i * 20));
      stream.Close();
      reader.join();
    });
  }
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
