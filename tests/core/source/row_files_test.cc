#include "core/source/row_files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/errors.h"
#include "core/gather/cast.h"
#include "core/gather/gather.h"
#include "core/source/array.h"
#include "tests/core/support/cached.h"
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
using testing::WriteFile;
using testing::WriteNpy;

// Row i of an array in a file of its own, and all of them in one: what both must give.
struct Written {
  std::vector<std::string> paths;
  std::string together;
};

// `in_fortran(i)`: whether file i has its row, of two dimensions, in Fortran's order.
Written Write(const TempFolder& folder, std::string_view descr, std::vector<int64_t> row_shape,
              size_t rows, bool (*in_fortran)(size_t)) {
  const auto itemsize = static_cast<size_t>(DtypeOf(descr).itemsize);
  size_t items = 1;
  for (const int64_t count : row_shape) items *= static_cast<size_t>(count);
  Written written;
  const Bytes data = RandomBytes(rows * items * itemsize);
  for (size_t i = 0; i < rows; ++i) {
    Bytes row(data.begin() + static_cast<ptrdiff_t>(i * items * itemsize),
              data.begin() + static_cast<ptrdiff_t>((i + 1) * items * itemsize));
    if (in_fortran(i)) {
      const Bytes c = row;
      const auto lines = static_cast<size_t>(row_shape[0]);
      const size_t columns = items / lines;
      for (size_t k = 0; k < items; ++k) {
        std::copy_n(
            c.begin() + static_cast<ptrdiff_t>(k * itemsize), itemsize,
            row.begin() + static_cast<ptrdiff_t>((k % columns * lines + k / columns) * itemsize));
      }
    }
    written.paths.push_back(folder / (std::to_string(i) + ".npy"));
    WriteNpy(written.paths.back(), descr, row_shape, row, in_fortran(i));
  }
  row_shape.insert(row_shape.begin(), static_cast<int64_t>(rows));
  written.together = folder / "together.npy";
  WriteNpy(written.together, descr, row_shape, data);
  return written;
}

void CheckSame(const Written& written, const std::vector<int64_t>& rows) {
  const auto together = Array::Open(std::vector<std::string>{written.together});
  const auto apart = Array::OpenRowFiles(written.paths);
  CHECK_EQ(apart->rows(), together->rows());
  CHECK_EQ(apart->row_type(), together->row_type());
  for (const Fields fields : {Fields::kTogether, Fields::kApart}) {
    for (const int threads : {1, 4}) {
      CHECK(GatheredRows(Gather(apart, fields), rows, threads) ==
            NaiveGather(*together, rows, fields));
    }
  }
}

std::vector<int64_t> AllRows(const Written& written) {
  std::vector<int64_t> rows = testing::Counting<int64_t>(written.paths.size());
  std::reverse(rows.begin(), rows.end());
  return rows;
}

TEST(RowFiles, AreTheRowsOfOneArray) {
  for (const char* descr : {"'<f4'", "'>f4'", "'|u1'", "'>c16'", "'<U3'",
                            "[('a', '<f4', (2,)), ('b', '>i2'), ('c', '|V3')]"}) {
    const TempFolder folder;
    const Written written = Write(folder, descr, {4, 6}, 40, [](size_t) { return false; });
    CheckSame(written, AllRows(written));
    CheckSame(written, {7, 7, 7, 0});
  }
}

TEST(RowFiles, MayHaveAnotherOrderEach) {
  for (const char* descr : {"'<f4'", "'>f4'", "[('a', '<f4', (2,)), ('b', '>i2')]"}) {
    const TempFolder folder;
    const Written written =
        Write(folder, descr, {5, 3}, 40, [](size_t i) { return i % 7 == 3 || i / 10 == 2; });
    CheckSame(written, AllRows(written));
    CheckSame(written, {3, 20, 0, 21, 1});
  }
}

TEST(RowFiles, MayBeLargerThanWhatIsReadAtOnce) {
  const TempFolder folder;
  const Written written =
      Write(folder, "'>i4'", {300, 400}, 5, [](size_t i) { return i % 2 == 1; });
  CheckSame(written, AllRows(written));
}

TEST(RowFiles, MayHoldOneNumberOrNone) {
  const TempFolder folder;
  const Written numbers = Write(folder, "'<f8'", {}, 9, [](size_t) { return false; });
  CheckSame(numbers, AllRows(numbers));
  const TempFolder other;
  const Written nothing = Write(other, "'<f8'", {3, 0}, 9, [](size_t) { return false; });
  CheckSame(nothing, AllRows(nothing));
}

TEST(RowFiles, AreCast) {
  const TempFolder folder;
  const Written written = Write(folder, "'>u2'", {4, 6}, 300, [](size_t i) { return i % 3 == 0; });
  const auto together = Array::Open(std::vector<std::string>{written.together});
  const auto apart = Array::OpenRowFiles(written.paths);
  const auto cast = std::make_shared<Cast>(DtypeOf("'>u2'"), DtypeOf("'<f4'"), apart->row_shape(),
                                           std::nullopt, std::nullopt);
  const std::vector<int64_t> rows = AllRows(written);
  CHECK(GatheredRows(Gather(apart, Fields::kTogether, cast), rows, 3) ==
        GatheredRows(Gather(together, Fields::kTogether, cast), rows, 1));
}

TEST(RowFiles, MayHaveHeadersOfOtherLengths) {
  const TempFolder folder;
  const Written written = Write(folder, "'<f4'", {8}, 4, [](size_t) { return false; });
  for (const size_t padding : {size_t{1}, size_t{5000}}) {
    std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (8,)}";
    text.append(padding, ' ');
    std::string file = "\x93NUMPY\x01";
    file += '\0';
    file += static_cast<char>(text.size() & 0xFF);
    file += static_cast<char>(text.size() >> 8);
    file += text;
    const Bytes data = NaiveGather(*Array::Open(std::vector<std::string>{written.together}), {2},
                                   Fields::kTogether)[0];
    WriteFile(written.paths[2], file.append(testing::AsText(data)));
    CheckSame(written, AllRows(written));
  }
}

TEST(RowFiles, ThatDifferAreNamedWithTheFirst) {
  const TempFolder folder;
  const Written written = Write(folder, "'<f4'", {4, 6}, 5, [](size_t) { return false; });
  const Gather gather(Array::OpenRowFiles(written.paths), Fields::kApart);
  const std::string& other = written.paths[3];
  const auto read = [&] { GatheredRows(gather, {0, 3}, 1); };

  WriteNpy(other, "'<f8'", {4, 6}, RandomBytes(192));
  CHECK_THROWS(read(), Error,
               "the files of one array must have one dtype: " + written.paths[0] +
                   " has float32, " + other + " has float64");
  WriteNpy(other, "'<f4'", {6, 4}, RandomBytes(96));
  CHECK_THROWS(read(), Error,
               "the files of one array must have one shape: " + written.paths[0] + " has (4, 6), " +
                   other + " has (6, 4); each is one row: pad or crop them");
  WriteNpy(other, "'<f4'", {4, 6}, RandomBytes(95));
  CHECK_THROWS(read(), FormatError, other + ": holds 95 bytes of data");
  WriteNpy(other, "'|O'", {4, 6}, RandomBytes(96));
  CHECK_THROWS(read(), ObjectDtypeError, other);
  WriteFile(other, "something else");
  CHECK_THROWS(read(), FormatError, other);
  std::filesystem::remove(other);
  CHECK_THROWS(read(), OsError, other);
  GatheredRows(gather, {0, 4}, 1);  // as before
}

TEST(RowFiles, TheFirstIsLookedAtAtOnce) {
  const TempFolder folder;
  const std::vector<std::string> paths = {folder / "a.npy", folder / "b.npy"};
  CHECK_THROWS(Array::OpenRowFiles(paths), OsError, paths[0]);
  WriteNpy(paths[0], "'<f4'", {4}, RandomBytes(15));
  CHECK_THROWS(Array::OpenRowFiles(paths), FormatError, paths[0]);
  WriteNpy(paths[0], "'|O'", {4}, RandomBytes(16));
  CHECK_THROWS(Array::OpenRowFiles(paths), ObjectDtypeError, paths[0]);
  WriteNpy(paths[0], "'<f4'", {4}, RandomBytes(16));
  CHECK_EQ(Array::OpenRowFiles(paths)->rows(), 2);  // the second is looked at when it is read
}

TEST(Extents, LieAnywhereInAFile) {
  const TempFolder folder;
  const Bytes data = RandomBytes(7 + 5 * 12 + 3);
  WriteFile(folder / "a.bin", testing::AsText(data));
  WriteNpy(folder / "a.npy", "'<i4'", {5, 3}, std::span(data).subspan(7, 60));
  Header header;
  header.dtype = DtypeOf("'<i4'");
  header.shape = {5, 3};
  header.data_offset = 7;
  const auto array = Array::Open(std::vector<Extent>{{folder / "a.bin", header}});
  const auto judge = Array::Open(std::vector<std::string>{folder / "a.npy"});
  const std::vector<int64_t> rows = {4, 0, 3};
  CHECK(NaiveGather(*array, rows, Fields::kApart) == NaiveGather(*judge, rows, Fields::kApart));
  CHECK(GatheredRows(Gather(array, Fields::kApart), rows, 1) ==
        NaiveGather(*judge, rows, Fields::kApart));

  header.data_offset = 11;
  CHECK_THROWS(Array::Open(std::vector<Extent>{{folder / "a.bin", header}}), FormatError,
               folder / "a.bin");
  header.data_offset = 7;
  Header other = header;
  other.shape = {5, 2};
  CHECK_THROWS(
      Array::Open(std::vector<Extent>{{folder / "a.bin", header}, {folder / "b.bin", other}}),
      OsError, folder / "b.bin");
  WriteFile(folder / "b.bin", testing::AsText(data));
  CHECK_THROWS(
      Array::Open(std::vector<Extent>{{folder / "a.bin", header}, {folder / "b.bin", other}}),
      Error, "one row shape");
}

TEST(RowFiles, PastThePageCacheTheyAreTheSame) {
  const TempFolder folder;
  for (const size_t row_bytes :
       {size_t{0}, size_t{1}, size_t{3968}, size_t{3969}, size_t{70'000}, size_t{5} << 20}) {
    std::vector<std::string> paths;
    std::vector<Bytes> rows;
    for (int i = 0; i < 4; ++i) {
      rows.push_back(RandomBytes(row_bytes, static_cast<uint64_t>(i) + row_bytes));
      paths.push_back(folder / (std::to_string(row_bytes) + "-" + std::to_string(i)));
      WriteNpy(paths.back(), "'|u1'", {static_cast<int64_t>(row_bytes)}, rows.back());
    }
    // Others than the first one may have another header, and more after the data.
    const std::vector<int64_t> shape = {static_cast<int64_t>(row_bytes)};
    WriteFile(paths[2], testing::NpyHeader("'u1'", shape) + std::string(testing::AsText(rows[2])) +
                            std::string(100, 'x'));
    const RowFiles files(paths);
    for (const std::string& path : paths) testing::Evict(path);
    Bytes read(row_bytes);
    for (size_t i = 0; i < paths.size(); ++i) {
      files.Read(static_cast<int64_t>(i), read.data(), RowFiles::Through::kOwnMemory);
      CHECK(read == rows[i]);
    }
    const bool direct = testing::HasDirectReads(paths[1]) && row_bytes < 4 << 20;
    CHECK_EQ(testing::CachedPages(paths[1]) == 0, direct);
    std::filesystem::resize_file(paths[3], std::filesystem::file_size(paths[3]) - 1);
    if (row_bytes > 0)
      CHECK_THROWS(files.Read(3, read.data(), RowFiles::Through::kOwnMemory), FormatError,
                   paths[3]);
  }
}

TEST(RowFiles, AFileThatIsReplacedAllTheTimeIsReadAsAWhole) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  constexpr size_t kBytes = 1 << 16;
  const auto write = [&folder](const std::string& name, int value) {
    WriteNpy(folder / name, "'|u1'", {int64_t{kBytes}}, Bytes(kBytes, std::byte(value)));
  };
  write("a.npy", 0);
  const RowFiles files(std::vector<std::string>{path});
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int value = 1; !done; value = (value + 1) % 256) {
      write("b.npy", value);
      std::filesystem::rename(folder / "b.npy", path);
    }
  });
  int read = 0;
  Bytes row(kBytes);
  for (int i = 0; i < 2000; ++i) {
    try {
      files.Read(0, row.data());
    } catch (const OsError& e) {
      CHECK_EQ(e.code(), ESTALE);
      continue;
    }
    ++read;
    CHECK(std::all_of(row.begin(), row.end(), [&row](std::byte b) { return b == row[0]; }));
  }
  done = true;
  writer.join();
  CHECK(read > 0);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
