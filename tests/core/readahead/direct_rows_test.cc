#include "core/readahead/direct_rows.h"

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/gather/batch_builder.h"
#include "core/stream/batch_stream.h"
#include "tests/core/support/cached.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;
using Result = BatchStream::Result;

constexpr int64_t kRows = 3000;
constexpr int64_t kWidth = 150;  // numbers of a row, all of them the number of the row

// Data of 3.6 MB for a process that may use 2 MB.
struct Fixture {
  explicit Fixture(const char* method) {
    ::setenv("NPYFAST_MEMORY", "2MB", 1);
    ::setenv("NPYFAST_DIRECT_READS", method, 1);
    const std::vector<int64_t> shape = {kRows, kWidth};
    std::string file = testing::NpyHeader("'<i8'", shape);
    std::vector<int64_t> row(kWidth);
    for (int64_t i = 0; i < kRows; ++i) {
      std::fill(row.begin(), row.end(), i);
      file.append(reinterpret_cast<const char*>(row.data()), row.size() * sizeof(int64_t));
    }
    testing::WriteFile(folder / "x.npy", file);
    testing::Evict(folder / "x.npy");  // what the page cache holds would not be read directly
  }
  ~Fixture() {
    ::unsetenv("NPYFAST_MEMORY");
    ::unsetenv("NPYFAST_DIRECT_READS");
  }

  std::unique_ptr<BatchStream> Stream(const Plan::Options& options, int threads = 3) {
    const std::vector<std::string> paths = {folder / "x.npy"};
    const auto gather = std::make_shared<Gather>(Array::Open(paths), Fields::kTogether);
    const auto maker =
        std::make_shared<BatchBuilder>(std::vector<std::shared_ptr<const Gather>>{gather},
                                       Plan({.size = kRows}, options), Run{.epochs = 2});
    return std::make_unique<BatchStream>(
        maker,
        BatchStream::Options{
            .threads = threads, .readahead = ReadaheadMode::kAuto, .statistics = statistics});
  }

  testing::TempFolder folder;
  std::shared_ptr<Statistics> statistics = std::make_shared<Statistics>();
};

// Up to `most` batches; each row, as often as it came.
std::multiset<int64_t> Read(BatchStream& stream, int64_t most = INT64_MAX) {
  std::multiset<int64_t> rows;
  Batch batch;
  for (int64_t i = 0; i < most; ++i) {
    Result result = stream.TryNext(&batch);
    while (result == Result::kNotYet) result = stream.Next(&batch, 50ms);
    if (result == Result::kEnd) break;
    const auto* const numbers = reinterpret_cast<const int64_t*>(batch.columns[0].get());
    for (int64_t row = 0; row < batch.rows; ++row) {
      for (int64_t k = 0; k < kWidth; ++k)
        CHECK_EQ(numbers[row * kWidth + k], numbers[row * kWidth]);
      rows.insert(numbers[row * kWidth]);
    }
  }
  return rows;
}

std::vector<Plan::Options> Orders(int64_t batch_size) {
  return {{.batch_size = batch_size},
          {.batch_size = batch_size, .shuffle = true},
          {.batch_size = batch_size, .shuffle = true, .blocks = {10, 100}},
          {.batch_size = batch_size, .shuffle = true, .blocks = {7, 7}}};
}

constexpr const char* kMethods[] = {"io_uring", "aio", "threads"};

TEST(DirectRows, EachRowComesOnceAnEpoch) {
  for (const char* method : kMethods) {
    Fixture fixture(method);
    for (const int64_t batch_size : {1, 32, 500}) {
      for (const Plan::Options& options : Orders(batch_size)) {
        const auto rows = Read(*fixture.Stream(options));
        CHECK_EQ(std::ssize(rows), 2 * kRows);
        for (int64_t row = 0; row < kRows; ++row) CHECK_EQ(rows.count(row), 2U);
      }
    }
  }
}

TEST(DirectRows, StreamsEndAtAnyTime) {
  for (const char* method : kMethods) {
    Fixture fixture(method);
    for (const Plan::Options& options : Orders(16))
      for (const int64_t batches : {0, 1, 3, 20, 90}) Read(*fixture.Stream(options), batches);
  }
}

TEST(DirectRows, SeveralStreamsAtOnce) {
  Fixture fixture("auto");
  const auto first = fixture.Stream(Orders(16)[1]);
  const auto second = fixture.Stream(Orders(20)[2]);
  for (int i = 0; i < 40; ++i) {
    Read(*first, 3);
    Read(*second, 2);
  }
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
