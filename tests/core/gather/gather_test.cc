#include "core/gather/gather.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/errors.h"
#include "tests/core/support/check.h"
#include "tests/core/support/gathered_rows.h"
#include "tests/core/support/naive.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::Bytes;
using testing::DtypeOf;
using testing::GatheredRows;
using testing::NaiveGather;
using testing::RandomBytes;
using testing::TempFolder;
using testing::WriteNpy;

std::vector<int64_t> RandomRows(int64_t array_rows, size_t count, std::mt19937_64& random) {
  std::vector<int64_t> rows(array_rows == 0 ? 0 : count);
  for (int64_t& row : rows)
    row = static_cast<int64_t>(random() % static_cast<uint64_t>(array_rows));
  return rows;
}

int64_t Below(int64_t limit, std::mt19937_64& random) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
}

const char* const kDescrs[] = {
    "'|u1'",
    "'|b1'",
    "'<i2'",
    "'>i2'",
    "'<f4'",
    "'>f4'",
    "'<f8'",
    "'>f8'",
    "'<f16'",
    "'>f16'",
    "'>c8'",
    "'<c16'",
    "'>c16'",
    "'|S5'",
    "'|V3'",
    "'<U3'",
    "'>U3'",
    "'>M8[s]'",
    "'|V0'",
    "'>U0'",
    "'<m8[D]'",
    "[('a', '>u2'), ('b', '|u1'), ('c', '<f8')]",
    "[('a', '|u1', (2, 3)), ('', '|V2'), ('b', [('x', '>f4'), ('y', '>i2', (2,))], (2,))]",
    "[('e', '<f4', (0,)), ('n', '<i8')]",
    "[('', '|V4')]"};

TEST(Gather, RandomLayoutsInMemoryAreAsTheNaiveLoopHasThem) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 600; ++round) {
    const Dtype dtype = DtypeOf(kDescrs[Below(std::ssize(kDescrs), random)]);
    const size_t dimensions = 1 + static_cast<size_t>(Below(4, random));
    std::vector<int64_t> shape(dimensions);
    shape[0] = Below(20, random);
    for (size_t i = 1; i < dimensions; ++i) shape[i] = Below(6, random);
    // Axes in any order, with gaps, upside down, or not advancing at all.
    std::vector<size_t> axes(dimensions);
    std::iota(axes.begin(), axes.end(), 0u);
    if (round % 3 > 0) std::shuffle(axes.begin(), axes.end(), random);
    std::vector<int64_t> strides(dimensions);
    int64_t bytes = dtype.itemsize;
    int64_t origin = 0;
    for (size_t i = dimensions; i-- > 0;) {
      const size_t axis = axes[i];
      if (round % 2 > 0) bytes += Below(4, random);
      strides[axis] = bytes;
      bytes *= std::max<int64_t>(shape[axis], 1);
      if (Below(4, random) == 0) {
        origin += strides[axis] * (std::max<int64_t>(shape[axis], 1) - 1);
        strides[axis] = -strides[axis];
      } else if (Below(12, random) == 0) {
        strides[axis] = 0;
      }
    }
    const Bytes memory = RandomBytes(static_cast<size_t>(bytes), random());
    const auto array = Array::View(memory.data() + origin, dtype, shape, strides);
    const std::vector<int64_t> rows =
        RandomRows(shape[0], static_cast<size_t>(Below(40, random)), random);
    for (const Fields fields : {Fields::kTogether, Fields::kApart}) {
      const Gather gather(array, fields);
      std::vector<Bytes> wanted = NaiveGather(*array, rows, fields);
      wanted.resize(gather.columns());
      CHECK(GatheredRows(gather, rows, 0) == wanted);
      CHECK(GatheredRows(gather, rows, 2) == wanted);
      int64_t total = 0;
      for (size_t c = 0; c < gather.columns(); ++c) total += gather.row_bytes(c);
      CHECK_EQ(gather.row_bytes(), total);
    }
  }
}

TEST(Gather, RandomFilesOfBothOrdersAreAsTheNaiveLoopHasThem) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 60; ++round) {
    const TempFolder folder;
    const char* descr = kDescrs[Below(std::ssize(kDescrs), random)];
    std::vector<int64_t> shape(1 + static_cast<size_t>(Below(4, random)));
    int64_t row_bytes = DtypeOf(descr).itemsize;
    for (size_t i = 1; i < shape.size(); ++i) {
      shape[i] = 1 + Below(5, random);
      row_bytes *= shape[i];
    }
    std::vector<std::string> paths;
    const int64_t files = 1 + Below(6, random);
    for (int64_t i = 0; i < files; ++i) {
      shape[0] = Below(30, random);
      paths.push_back(folder / (std::to_string(i) + ".npy"));
      WriteNpy(paths.back(), descr, shape,
               RandomBytes(static_cast<size_t>(shape[0] * row_bytes), random()),
               Below(2, random) == 0);
    }
    const auto array = Array::Open(paths);
    const std::vector<int64_t> rows = RandomRows(array->rows(), 700, random);
    for (const Fields fields : {Fields::kTogether, Fields::kApart}) {
      const Gather gather(array, fields);
      std::vector<Bytes> wanted = NaiveGather(*array, rows, fields);
      wanted.resize(gather.columns());
      CHECK(GatheredRows(gather, rows, 0) == wanted);
      CHECK(GatheredRows(gather, rows, 3) == wanted);
    }
  }
}

TEST(Gather, RowsOfEverySize) {
  std::mt19937_64 random(9);
  constexpr int64_t kArrayRows = 40;
  constexpr int64_t kLargest = 5000;
  const Bytes memory = RandomBytes(kArrayRows * kLargest);
  for (int64_t bytes = 1; bytes <= kLargest; bytes += testing::kThreadSanitizer ? 13 : 1) {
    const std::vector<int64_t> shape = {kArrayRows, bytes};
    const std::vector<int64_t> strides = {bytes, 1};
    const Gather gather(Array::View(memory.data(), DtypeOf("'|u1'"), shape, strides),
                        Fields::kTogether);
    const std::vector<int64_t> rows = RandomRows(kArrayRows, 30, random);
    Bytes wanted;
    for (const int64_t row : rows) {
      const auto first = memory.begin() + row * bytes;
      wanted.insert(wanted.end(), first, first + bytes);
    }
    CHECK(GatheredRows(gather, rows, 0)[0] == wanted);
  }
}

TEST(Gather, AnyNumberOfThreadsGivesTheSame) {
  std::mt19937_64 random(10);
  // Enough bytes for some threads: 2 MB and two columns of different sizes.
  const Dtype dtype = DtypeOf("[('x', '>f4', (100,)), ('y', '|u1', (7,))]");
  const std::vector<int64_t> shape = {500};
  const std::vector<int64_t> strides = {dtype.itemsize};
  const Bytes memory = RandomBytes(static_cast<size_t>(shape[0] * dtype.itemsize));
  for (const Fields fields : {Fields::kTogether, Fields::kApart}) {
    const Gather gather(Array::View(memory.data(), dtype, shape, strides), fields);
    for (const size_t count : {0u, 1u, 2u, 257u, 1299u, 5003u}) {
      const std::vector<int64_t> rows = RandomRows(shape[0], count, random);
      const std::vector<Bytes> wanted = GatheredRows(gather, rows, 0);
      for (const int threads : {1, 2, 3, 4, 7, 16})
        CHECK(GatheredRows(gather, rows, threads) == wanted);
    }
  }
}

TEST(Gather, MoreThreadsThanRows) {
  const std::vector<int64_t> shape = {3, 1 << 20};
  const std::vector<int64_t> strides = {1 << 20, 1};
  const Bytes memory = RandomBytes(size_t{3} << 20);
  const Gather gather(Array::View(memory.data(), DtypeOf("'|u1'"), shape, strides),
                      Fields::kTogether);
  CHECK(GatheredRows(gather, {2, 0, 1}, 64) == GatheredRows(gather, {2, 0, 1}, 0));
}

// Large enough to be written past the cache: every byte is there when the call returns.
TEST(Gather, LargeBatches) {
  std::mt19937_64 random(12);
  for (const int64_t bytes : {1000, 4097, 65'536}) {
    const std::vector<int64_t> shape = {50, bytes};
    const std::vector<int64_t> strides = {bytes, 1};
    const Bytes memory = RandomBytes(static_cast<size_t>(50 * bytes));
    const auto array = Array::View(memory.data(), DtypeOf("'|u1'"), shape, strides);
    const Gather gather(array, Fields::kTogether);
    const std::vector<int64_t> rows =
        RandomRows(50, static_cast<size_t>((20 << 20) / bytes), random);
    Bytes wanted;
    for (const int64_t row : rows) {
      const auto first = memory.begin() + row * bytes;
      wanted.insert(wanted.end(), first, first + bytes);
    }
    for (const int threads : {0, 1, 3}) CHECK(GatheredRows(gather, rows, threads)[0] == wanted);
  }
}

TEST(Gather, SeveralThreadsShareOne) {
  std::mt19937_64 random(11);
  const std::vector<int64_t> shape = {1000, 300};
  const std::vector<int64_t> strides = {300, 1};
  const Bytes memory = RandomBytes(300'000);
  const Gather gather(Array::View(memory.data(), DtypeOf("'|u1'"), shape, strides),
                      Fields::kTogether);
  const std::vector<int64_t> rows = RandomRows(1000, 4000, random);
  const std::vector<Bytes> wanted = GatheredRows(gather, rows, 0);
  std::vector<char> right(4, 0);
  std::vector<std::thread> threads;
  for (char& result : right) {
    threads.emplace_back([&] {
      result = 1;
      for (int i = 0; i < 20; ++i) {
        if (GatheredRows(gather, rows, 3) != wanted) result = 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(right, std::vector<char>(4, 1));
}

TEST(Gather, AnArrayWithoutRowsHasColumns) {
  const std::vector<int64_t> shape = {0, 3};
  const std::vector<int64_t> strides = {12, 4};
  const Gather gather(Array::View(nullptr, DtypeOf("'<f4'"), shape, strides), Fields::kTogether);
  CHECK_EQ(gather.columns(), 1u);
  CHECK_EQ(gather.row_bytes(), 12);
  CHECK_EQ(GatheredRows(gather, {}, 0)[0].size(), 0u);
}

TEST(Gather, RowsOfNoBytes) {
  const std::vector<int64_t> shape = {int64_t{1} << 60, 0};
  const std::vector<int64_t> strides = {0, 4};
  const Gather gather(Array::View(nullptr, DtypeOf("'<f4'"), shape, strides), Fields::kTogether);
  CHECK_EQ(gather.row_bytes(), 0);
  CHECK_EQ(GatheredRows(gather, {0, (int64_t{1} << 60) - 1, 5}, 2)[0].size(), 0u);
}

// A view whose every row is as long as it wants to be, and one byte in memory.
TEST(Gather, CountsBytesWithoutWrapping) {
  const std::byte item{7};
  const std::vector<int64_t> shape = {2, int64_t{1} << 60};
  const Gather gather(Array::View(&item, DtypeOf("'|u1'"), shape, std::vector<int64_t>{0, 0}),
                      Fields::kTogether);
  CHECK_EQ(gather.row_bytes(), BufferPool::kTooManyBytes);
  CHECK(gather.StoresFor(16) == Stores::kPastCache);
  CHECK(gather.StoresFor(0) == Stores::kCached);
  CHECK_THROWS(AcquireRows(16, gather.row_bytes(0)), std::bad_alloc, "");
}

TEST(Gather, FromATerabyte) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  constexpr int64_t kRows = 1'000'000'000'000;
  const std::string header = testing::NpyHeader("'|u1'", std::vector<int64_t>{kRows});
  testing::WriteFile(path, header);
  if (::truncate(path.c_str(), static_cast<int64_t>(header.size()) + kRows - 1) != 0)
    SKIP("this filesystem holds no file of 1 TB");
  {
    std::ofstream file(path, std::ios::binary | std::ios::app);
    file << 'x';  // the last row
  }
  const std::vector<std::string> paths = {path};
  std::shared_ptr<const Array> array;
  try {
    array = Array::Open(paths);
  } catch (const OsError& e) {
    if (!testing::kThreadSanitizer || e.code() != ENOMEM) throw;
    SKIP("the shadow memory of ThreadSanitizer leaves no room for 1 TB");
  }
  const Gather gather(array, Fields::kTogether);
  const Bytes rows = GatheredRows(gather, {kRows - 1, 0, kRows / 2, kRows - 1}, 0)[0];
  CHECK_EQ(testing::AsText(rows), std::string_view("x\0\0x", 4));
}

// --- Files that are truncated.

TEST(Truncated, AllRowsAreAnError) {
  const TempFolder folder;
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  constexpr int64_t kRows = 5000;
  constexpr int64_t kRowBytes = 800;
  const Bytes data = RandomBytes(kRows * kRowBytes);
  for (const bool fortran_order : {false, true}) {
    const std::string path = folder / "a.npy";
    WriteNpy(path, "'>u4'", {kRows, kRowBytes / 4}, data, fortran_order);
    const std::vector<std::string> paths = {path};
    const Gather gather(Array::Open(paths), Fields::kTogether);
    CHECK_EQ(::truncate(path.c_str(), 10 * page), 0);
    std::vector<int64_t> all(kRows);
    std::iota(all.begin(), all.end(), 0);
    for (const int threads : {0, 1, 4}) {
      CHECK_THROWS(GatheredRows(gather, all, threads), FormatError, path + ": has ");
      CHECK_THROWS(GatheredRows(gather, {3, kRows - 1}, threads), FormatError,
                   "was truncated while");
    }
    // Those that are left are of another file than the one that was opened.
    CHECK_THROWS(GatheredRows(gather, {0, 1, 2}, 0), FormatError, "was truncated while");
  }
}

TEST(Truncated, WithinTheLastPageToo) {
  const TempFolder folder;
  const Bytes data = RandomBytes(100'000);
  std::vector<std::string> paths;
  for (int i = 0; i < 5; ++i) {
    paths.push_back(folder / (std::to_string(i) + ".npy"));
    WriteNpy(paths.back(), "'|u1'", {1000, 100}, data);
  }
  const Gather gather(Array::Open(paths), Fields::kTogether);
  const Bytes first = GatheredRows(gather, {0, 2000, 4999}, 0)[0];
  CHECK_EQ(::truncate(paths[2].c_str(), 100'127), 0);
  // Looked at now and then only.
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK_THROWS(GatheredRows(gather, {4999, 2999, 0}, 0), FormatError,
               paths[2] + ": has 100,127 bytes");
  CHECK(GatheredRows(gather, {0, 2000, 4999}, 0)[0] == first);
}

TEST(Truncated, AFileThatFailsToBeReadIsNamed) {
  const TempFolder folder;
  const Bytes data = RandomBytes(100'000);
  const std::string path = folder / "a.npy";
  WriteNpy(path, "'|u1'", {1000, 100}, data);
  const std::vector<std::string> paths = {path};
  const Gather gather(Array::Open(paths), Fields::kTogether);
  // The path leads to another file, which has all its bytes.
  CHECK_EQ(::rename(path.c_str(), (folder / "old.npy").c_str()), 0);
  WriteNpy(path, "'|u1'", {1000, 100}, data);
  CHECK_EQ(::truncate((folder / "old.npy").c_str(), 0), 0);
  try {
    GatheredRows(gather, {500}, 0);
    CHECK(false);
  } catch (const OsError& e) {
    CHECK_EQ(e.code(), EIO);
    CHECK_EQ(e.path(), path);
  }
}

// --- Row numbers.

TEST(ResolveRows, CountsNegativeOnesFromTheEnd) {
  const std::vector<int64_t> rows = {0, -1, 4, -5};
  std::vector<int64_t> out(4);
  ResolveRows(rows, 5, out);
  CHECK_EQ(out, (std::vector<int64_t>{0, 4, 4, 0}));
}

TEST(ResolveRows, NamesTheFirstThatIsOutOfRange) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> out(3);
  const auto resolve = [&](const std::vector<int64_t>& rows, int64_t array_rows) {
    ResolveRows(rows, array_rows, out);
    return 0;
  };
  CHECK_THROWS(resolve({0, 5, -9}, 5), IndexError, "row 5 is out of range for 5 rows");
  CHECK_THROWS(resolve({0, -6, 9}, 5), IndexError, "row -6 is out of range for 5 rows");
  CHECK_THROWS(resolve({0, 0, 0}, 0), IndexError, "row 0 is out of range for 0 rows");
  CHECK_THROWS(resolve({kMin, 0, 0}, kMax), IndexError, std::to_string(kMin));
  CHECK_THROWS(resolve({kMax, 0, 0}, kMax), IndexError, std::to_string(kMax));
  resolve({-kMax, kMax - 1, -1}, kMax);
  CHECK_EQ(out, (std::vector<int64_t>{0, kMax - 1, kMax - 1}));
}

TEST(PostponedChecks, LookOnceForManyCalls) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  WriteNpy(path, "'|u1'", {3}, RandomBytes(3));
  const auto array = Array::Open(std::vector<std::string>{path});
  const Gather gather(array, Fields::kTogether);
  {
    PostponedChecks checks;
    GatheredRows(gather, {0, 1}, 0);
    checks.Check();
    CHECK_EQ(::truncate(path.c_str(), 130), 0);
    {
      PostponedChecks inner;  // the outer one knows nothing of this
      GatheredRows(gather, {2}, 0);
    }
    checks.Check();
    for (int i = 0; i < 3; ++i) GatheredRows(gather, {2}, 0);
    CHECK_THROWS(checks.Check(), FormatError, path + ": has 130 bytes now");
  }
  CHECK_THROWS(GatheredRows(gather, {2}, 0), FormatError, path + ": has 130 bytes now");
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
