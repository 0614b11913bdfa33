#include "core/readahead/read_queue.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "core/os/direct_file.h"
#include "core/os/file.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;

constexpr int64_t kBlock = 4096;
constexpr int64_t kMiB = 1 << 20;

// What happens to a read instead of what the file says; nothing: all of it is read.
using Fault = std::function<std::optional<int64_t>(const AsyncReader::Request&)>;

// What a FakeReader has seen.
struct Seen {
  std::vector<AsyncReader::Request> requests = {};
  int most_in_flight = 0;
};

// Reads from memory, the oldest read first, and no more at once than is waited for.
class FakeReader : public AsyncReader {
 public:
  FakeReader(int depth, const std::vector<std::byte>& file, Fault fault, Seen* seen)
      : AsyncReader(depth), file_(file), fault_(std::move(fault)), seen_(seen) {}

  ReadMethod method() const override { return ReadMethod::kThreads; }

  void Add(const Request& request) override {
    seen_->requests.push_back(request);
    added_.push_back(request);
    seen_->most_in_flight = std::max(seen_->most_in_flight, ++in_flight_);
  }

  void Wait(int least, std::chrono::milliseconds, std::vector<Completion>* completed) override {
    for (; least > 0; --least, --in_flight_) {
      completed->push_back({added_.front().tag, Read(added_.front())});
      added_.pop_front();
    }
  }

 private:
  int64_t Read(const Request& request) {
    const std::optional<int64_t> result = fault_ ? fault_(request) : std::nullopt;
    const int64_t there = std::max<int64_t>(std::ssize(file_) - request.offset, 0);
    const int64_t bytes = std::min({request.bytes, there, result.value_or(request.bytes)});
    if (bytes > 0)
      std::memcpy(request.out, file_.data() + request.offset, static_cast<size_t>(bytes));
    return result && *result < 0 ? *result : std::max<int64_t>(bytes, 0);
  }

  const std::vector<std::byte>& file_;
  const Fault fault_;
  Seen* const seen_;
  std::deque<Request> added_;
};

struct Example {
  explicit Example(int64_t size, Fault fault = nullptr, int depth = 4)
      : contents(testing::RandomBytes(static_cast<size_t>(size))), path(folder / "a") {
    testing::WriteFile(path, testing::AsText(contents));
    file.emplace(path);
    opened = DirectFile::Open(*file);
    testing::NeedsDirectReads(path, opened != nullptr);
    out.resize(static_cast<size_t>(size + kBlock));
    queue.emplace(std::make_unique<FakeReader>(depth, contents, std::move(fault), &seen));
  }

  PieceRange Range(int64_t offset, int64_t count) {
    return {&*file, opened, offset, count, out.data() + offset};
  }
  // All slots that finish until there is nothing more to do.
  std::vector<PieceSlot*> Finish() {
    std::vector<PieceSlot*> finished;
    for (int i = 0; queue->in_flight() > 0 || queue->waiting() > 0; ++i) {
      CHECK(i < 10'000);
      bytes += queue->Advance(4, 1, 1000ms, &finished);
    }
    return finished;
  }
  // Reads one range into a slot and returns it finished.
  std::unique_ptr<PieceSlot> Read(int64_t offset, int64_t count) {
    auto slot = std::make_unique<PieceSlot>();
    queue->Add(slot.get(), Range(offset, count));
    CHECK_EQ(Finish(), std::vector<PieceSlot*>{slot.get()});
    CHECK_EQ(slot->reads_left, 0);
    return slot;
  }
  bool Right(int64_t offset, int64_t count) const {
    return std::memcmp(out.data() + offset, contents.data() + offset, static_cast<size_t>(count)) ==
           0;
  }

  testing::TempFolder folder;
  std::vector<std::byte> contents;
  std::string path;
  std::optional<MappedFile> file;
  std::shared_ptr<const DirectFile> opened;
  std::vector<std::byte> out;
  Seen seen;
  int64_t bytes = 0;  // that came
  std::optional<ReadQueue> queue;
};

// Each of the first `times` reads ends so.
Fault First(int times, int64_t result) {
  return [times, result](const AsyncReader::Request&) mutable -> std::optional<int64_t> {
    if (times-- > 0) return result;
    return std::nullopt;
  };
}

void Rethrow(const PieceSlot& slot) {
  if (slot.error) std::rethrow_exception(slot.error);
}

TEST(ReadQueue, ReadsWhatWasAdded) {
  Example example(8 * kBlock);
  CHECK(!example.Read(2 * kBlock, 3 * kBlock)->error);
  CHECK(example.Right(2 * kBlock, 3 * kBlock));
  CHECK_EQ(example.bytes, 3 * kBlock);
  CHECK_EQ(example.seen.requests.size(), 1U);
  CHECK_EQ(example.seen.requests[0].descriptor, example.opened->descriptor());
}

TEST(ReadQueue, ARangeMayReachBeyondTheEnd) {
  Example example(2 * kBlock + 10);
  CHECK(!example.Read(kBlock, 2 * kBlock)->error);
  CHECK(example.Right(kBlock, kBlock + 10));
  CHECK_EQ(example.bytes, kBlock + 10);
  CHECK_EQ(example.seen.requests.size(), 1U);
}

TEST(ReadQueue, LargeRangesAreDivided) {
  Example example(3 * kMiB);
  CHECK(!example.Read(kBlock, 2 * kMiB + kBlock)->error);
  CHECK(example.Right(kBlock, 2 * kMiB + kBlock));
  CHECK_EQ(example.seen.requests.size(), 3U);
  for (const AsyncReader::Request& request : example.seen.requests) CHECK(request.bytes <= kMiB);
  CHECK_EQ(example.bytes, 2 * kMiB + kBlock);
}

TEST(ReadQueue, AnErrorIsTriedOnceMore) {
  Example example(4 * kBlock, First(1, -EIO));
  CHECK(!example.Read(0, 4 * kBlock)->error);
  CHECK(example.Right(0, 4 * kBlock));
  CHECK_EQ(example.seen.requests.size(), 2U);
}

TEST(ReadQueue, ThenItIsTheSlots) {
  Example example(4 * kBlock, First(2, -EIO));
  const auto slot = example.Read(kBlock, 2 * kBlock);
  CHECK(slot->error != nullptr);
  CHECK_THROWS(Rethrow(*slot), OsError, example.path);
  CHECK_THROWS(Rethrow(*slot), OsError, "byte 4096");
  try {
    Rethrow(*slot);
  } catch (const OsError& error) {
    CHECK_EQ(error.code(), EIO);
  }
  CHECK_EQ(example.seen.requests.size(), 2U);
  // Those of others are read as ever.
  CHECK(!example.Read(0, kBlock)->error);
}

TEST(ReadQueue, WhatWasInterruptedIsTriedForAsLongAsItTakes) {
  for (const int code : {EINTR, EAGAIN}) {
    Example example(kBlock, First(10, -code));
    CHECK(!example.Read(0, kBlock)->error);
    CHECK(example.Right(0, kBlock));
    CHECK_EQ(example.seen.requests.size(), 11U);
  }
}

TEST(ReadQueue, ButNotForEver) {
  Example example(kBlock, First(1'000'000, -EAGAIN));
  const auto slot = example.Read(0, kBlock);
  CHECK_THROWS(Rethrow(*slot), OsError, "at byte 0");
  CHECK(example.seen.requests.size() < 5000);
}

// A device may ask for other sizes than the file system has promised.
TEST(ReadQueue, WhatIsRefusedIsNoError) {
  for (const int code : {EINVAL, EOPNOTSUPP}) {
    Example example(4 * kBlock, First(1, -code));
    const auto slot = example.Read(0, 4 * kBlock);
    CHECK(slot->refused);
    CHECK(!slot->error);
    CHECK_EQ(example.seen.requests.size(), 1U);
    CHECK(!example.Read(0, kBlock)->refused);
  }
}

TEST(ReadQueue, AShortReadGoesOnWhereItEnded) {
  Example example(8 * kBlock, First(2, 2 * kBlock + 100));
  CHECK(!example.Read(0, 8 * kBlock)->error);
  CHECK(example.Right(0, 8 * kBlock));
  CHECK_EQ(example.seen.requests.size(), 3U);
  for (const AsyncReader::Request& request : example.seen.requests) {
    CHECK_EQ(request.offset % example.opened->alignment(), 0);
    CHECK_EQ(request.offset + request.bytes, 8 * kBlock);
  }
}

// Short reads that bring nothing do not go on for ever.
TEST(ReadQueue, NothingTwiceIsAnError) {
  Example once(4 * kBlock, First(1, 0));
  CHECK(!once.Read(0, 4 * kBlock)->error);
  CHECK(once.Right(0, 4 * kBlock));
  Example always(4 * kBlock, First(1000, 0));
  CHECK_THROWS(Rethrow(*always.Read(0, 4 * kBlock)), OsError, "at byte 0");
}

TEST(ReadQueue, ATruncatedFileIsAnErrorOfItsOwn) {
  Example example(4 * kBlock, First(1000, 0));
  std::filesystem::resize_file(example.path, kBlock);
  CHECK_THROWS(Rethrow(*example.Read(2 * kBlock, kBlock)), FormatError, example.path);
}

TEST(ReadQueue, FinishesEachSlotOnce) {
  // Every third read fails for the first time that it is read.
  std::set<int64_t> failed;
  Example example(64 * kBlock, [&failed](const AsyncReader::Request& request) {
    const bool fails = request.offset / kBlock % 3 == 0 && failed.insert(request.offset).second;
    return fails ? std::optional<int64_t>(-EIO) : std::nullopt;
  });
  std::vector<std::unique_ptr<PieceSlot>> slots;
  for (int64_t i = 0; i < 16; ++i) {
    slots.push_back(std::make_unique<PieceSlot>());
    for (int64_t k = 0; k < 4; ++k)
      example.queue->Add(slots.back().get(), example.Range((k * 16 + i) * kBlock, kBlock));
  }
  CHECK_EQ(example.queue->waiting(), 64U);
  const std::vector<PieceSlot*> finished = example.Finish();
  CHECK_EQ(finished.size(), 16U);
  CHECK_EQ(std::set<PieceSlot*>(finished.begin(), finished.end()).size(), 16U);
  for (const auto& slot : slots) CHECK(!slot->error && slot->reads_left == 0);
  CHECK(example.Right(0, 64 * kBlock));
  CHECK_EQ(failed.size(), 22U);
}

TEST(ReadQueue, NoMoreAreInFlightThanItIsTold) {
  Example example(64 * kBlock, nullptr, 8);
  PieceSlot slot;
  for (int64_t i = 0; i < 64; ++i) example.queue->Add(&slot, example.Range(i * kBlock, kBlock));
  std::vector<PieceSlot*> finished;
  CHECK_EQ(example.queue->Advance(3, 0, 0ms, &finished), 0);
  CHECK_EQ(example.queue->in_flight(), 3);
  CHECK_EQ(example.queue->waiting(), 61U);
  CHECK_EQ(example.queue->Advance(1000, 1, 0ms, &finished), kBlock);
  CHECK_EQ(example.seen.most_in_flight, 8);
  // More than are in flight are not waited for.
  CHECK_EQ(example.queue->Advance(1, 1000, 0ms, &finished), 7 * kBlock);
  CHECK(finished.empty());
  CHECK_EQ(example.Finish(), std::vector<PieceSlot*>{&slot});
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
