#include "core/source/array.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/errors.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::NpyHeader;
using testing::RandomBytes;
using testing::TempFolder;
using testing::WriteFile;
using testing::WriteNpy;

std::shared_ptr<const Array> Open(const std::vector<std::string>& paths) {
  return Array::Open(paths);
}

TEST(Array, OpensOneFile) {
  const TempFolder folder;
  const auto bytes = RandomBytes(4 * 3 * 5 * 4);
  WriteNpy(folder / "a.npy", "'<f4'", {4, 3, 5}, bytes);
  const auto array = Open({folder / "a.npy"});
  CHECK_EQ(array->rows(), 4);
  CHECK_EQ(array->row_shape(), (std::vector<int64_t>{3, 5}));
  CHECK_EQ(array->dtype().kind, 'f');
  CHECK_EQ(array->file_rows().size(), 1u);
  const FileRows& file = array->file_rows()[0];
  CHECK_EQ(file.row_stride, 60);
  CHECK_EQ(file.strides, (std::vector<int64_t>{20, 4}));
  CHECK(std::equal(bytes.begin(), bytes.end(), array->data(0)));
}

TEST(Array, FortranOrderIsStridesAlone) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'<f4'", {4, 3, 5}, RandomBytes(4 * 3 * 5 * 4), true);
  const auto array = Open({folder / "a.npy"});
  CHECK_EQ(array->file_rows()[0].row_stride, 4);
  CHECK_EQ(array->file_rows()[0].strides, (std::vector<int64_t>{16, 48}));
}

TEST(Array, BytesBehindTheDataDoNotMatter) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'|u1'", {3}, RandomBytes(10));
  CHECK_EQ(Open({folder / "a.npy"})->rows(), 3);
}

TEST(Array, ATruncatedFileIsNamedWithBothSizes) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  WriteNpy(path, "'|u1'", {2000, 3}, RandomBytes(5999));
  CHECK_THROWS(Open({path}), FormatError,
               path +
                   ": holds 5,999 bytes of data, its header promises 6,000 (2000, 3) uint8: the "
                   "file is truncated");
  WriteNpy(path, "'<f8'", {1000000000}, {});
  CHECK_THROWS(Open({path}), FormatError,
               "holds 0 bytes of data, its header promises 8,000,000,000");
  // Within the header, down to nothing.
  const std::string header = NpyHeader("'|u1'", std::vector<int64_t>{3});
  for (size_t size = 0; size < header.size(); ++size) {
    WriteFile(path, header.substr(0, size));
    CHECK_THROWS(Open({path}), FormatError, path + ": not a readable .npy file: ");
  }
}

TEST(Array, NotNpyAtAllIsNamed) {
  const TempFolder folder;
  WriteFile(folder / "a.npy", std::string(1000, 'x'));
  CHECK_THROWS(Open({folder / "a.npy"}), FormatError, folder / "a.npy");
  CHECK_THROWS(Open({folder / "missing.npy"}), OsError, folder / "missing.npy");
  CHECK_THROWS(Open({folder / "."}), OsError, "directory");
}

TEST(Array, ObjectsAreRefused) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'|O'", {3}, RandomBytes(100));
  CHECK_THROWS(Open({folder / "a.npy"}), ObjectDtypeError, folder / "a.npy");
  WriteNpy(folder / "a.npy", "[('x', '<f4'), ('y', [('z', '|O', (2,))])]", {0}, {});
  CHECK_THROWS(Open({folder / "a.npy"}), ObjectDtypeError, "never unpickles");
  const std::vector<int64_t> shape = {0};
  const std::vector<int64_t> strides = {8};
  CHECK_THROWS(Array::View(nullptr, testing::DtypeOf("'|O'"), shape, strides), ObjectDtypeError,
               "memory");
}

TEST(Array, ASingleValueHasNoRows) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'<f4'", {}, RandomBytes(4));
  CHECK_THROWS(Open({folder / "a.npy"}), Error, "0-dimensional");
}

TEST(Array, ARowThatNobodyCanHoldIsRefusedEvenIfThereIsNone) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'<f8'", {0, int64_t{1} << 40, int64_t{1} << 40}, {});
  CHECK_THROWS(Open({folder / "a.npy"}), FormatError, "larger than any array");
}

TEST(Array, HugeEmptyShapes) {
  const TempFolder folder;
  for (const bool fortran_order : {false, true}) {
    WriteNpy(folder / "a.npy", "'<f8'", {int64_t{1} << 59, 0}, {}, fortran_order);
    CHECK_EQ(Open({folder / "a.npy"})->rows(), int64_t{1} << 59);
    WriteNpy(folder / "a.npy", "'<f8'", {int64_t{1} << 30, 1 << 10, 1 << 19, 0}, {}, fortran_order);
    CHECK_EQ(Open({folder / "a.npy"})->rows(), int64_t{1} << 30);
  }
}

TEST(Array, MoreRowsThanCanBeCounted) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'|u1'", {int64_t{1} << 62, 0}, {});
  const std::string path = folder / "a.npy";
  CHECK_THROWS(Open({path, path}), Error, "more rows together than can be counted");
}

TEST(FilesOfAnArray, AreOneRowAxis) {
  const TempFolder folder;
  // Empty ones at the beginning, in the middle and at the end, some of them in a row.
  const std::vector<int64_t> sizes = {0, 3, 1, 0, 0, 5, 2, 0};
  std::vector<std::string> paths;
  for (const int64_t rows : sizes) {
    paths.push_back(folder / (std::to_string(paths.size()) + ".npy"));
    WriteNpy(paths.back(), "'<u2'", {rows, 2}, RandomBytes(static_cast<size_t>(rows) * 4));
  }
  const auto array = Open(paths);
  CHECK_EQ(array->rows(), 11);
  CHECK_EQ(array->file_rows().size(), 4u);
  std::vector<size_t> files;
  for (int64_t row = 0; row < array->rows(); ++row) files.push_back(array->FileOf(row));
  CHECK_EQ(files, (std::vector<size_t>{0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3}));
  std::vector<int64_t> first_rows;
  for (const FileRows& file : array->file_rows()) first_rows.push_back(file.first_row);
  CHECK_EQ(first_rows, (std::vector<int64_t>{0, 3, 4, 9}));
}

TEST(FilesOfAnArray, AllOfThemMayBeEmpty) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'<f4'", {0, 3}, {});
  const auto array = Open({folder / "a.npy", folder / "a.npy"});
  CHECK_EQ(array->rows(), 0);
  CHECK_EQ(array->file_rows().size(), 0u);
  CHECK_EQ(array->row_shape(), (std::vector<int64_t>{3}));
}

TEST(FilesOfAnArray, TheSearchFindsEveryRowOfMany) {
  const TempFolder folder;
  std::vector<std::string> paths;
  std::vector<size_t> wanted;
  for (size_t i = 0; i < 100; ++i) {
    const size_t rows = i * 7 % 5;
    paths.push_back(folder / (std::to_string(i) + ".npy"));
    WriteNpy(paths.back(), "'|u1'", {static_cast<int64_t>(rows)}, RandomBytes(rows));
    if (rows == 0) continue;
    const size_t file = wanted.empty() ? 0 : wanted.back() + 1;
    wanted.insert(wanted.end(), rows, file);
  }
  const auto array = Open(paths);
  std::vector<size_t> found;
  for (int64_t row = 0; row < array->rows(); ++row) found.push_back(array->FileOf(row));
  CHECK_EQ(found, wanted);
}

// Files of one row each, whose bytes are the number of the file.
std::vector<std::string> WriteMany(const TempFolder& folder, size_t count) {
  std::vector<std::string> paths;
  const std::string header = NpyHeader("'<u4'", std::vector<int64_t>{1, 1});
  for (size_t i = 0; i < count; ++i) {
    paths.push_back(folder / (std::to_string(i) + ".npy"));
    const auto number = static_cast<uint32_t>(i);
    WriteFile(paths.back(), header + std::string(reinterpret_cast<const char*>(&number), 4));
  }
  return paths;
}

uint32_t NumberOf(const Array& array, size_t file) {
  uint32_t number;
  std::memcpy(&number, array.data(file), sizeof number);
  return number;
}

TEST(FilesOfAnArray, ThousandsNeedFewDescriptors) {
  const TempFolder folder;
  const std::vector<std::string> paths = WriteMany(folder, 10'000);
  IN_CHILD([&paths] {
    const rlimit few = {64, 64};
    CHECK_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    const auto array = Open(paths);
    CHECK_EQ(array->rows(), 10'000);
    for (size_t i = 0; i < paths.size(); ++i) CHECK_EQ(NumberOf(*array, i), i);
  });
}

// Whether a file is mapped into this process.
bool IsMapped(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.ends_with(path)) return true;
  return false;
}

TEST(FilesOfAnArray, FewAreKeptAndManyAreMappedWhenTheyAreRead) {
  const TempFolder folder;
  std::vector<std::string> paths = WriteMany(folder, 300);
  const auto many = Open(paths);
  CHECK(!IsMapped(paths[7]));
  CHECK_EQ(NumberOf(*many, 7), 7u);
  CHECK(IsMapped(paths[7]));
  CHECK(!IsMapped(paths[8]));
  const std::vector<std::string> some(paths.begin() + 100, paths.begin() + 110);
  const auto few = Open(some);
  CHECK(IsMapped(paths[105]));
  for (const std::string& path : paths) CHECK_EQ(::unlink(path.c_str()), 0);
  for (size_t i = 0; i < some.size(); ++i) CHECK_EQ(NumberOf(*few, i), 100 + i);
  CHECK_EQ(NumberOf(*many, 7), 7u);
  CHECK_THROWS(many->data(8), OsError, paths[8]);
}

TEST(FilesOfAnArray, TheFirstBadOneOfManyIsNamed) {
  const TempFolder folder;
  const std::vector<std::string> paths = WriteMany(folder, 400);
  // The later ones fail sooner.
  WriteNpy(paths[371], "'<f4'", {1, 1}, RandomBytes(4));
  CHECK_EQ(::unlink(paths[390].c_str()), 0);
  WriteFile(paths[399], "nonsense");
  for (int round = 0; round < 50; ++round)
    CHECK_THROWS(Open(paths), Error, paths[0] + " has uint32, " + paths[371] + " has float32");
  CHECK_EQ(::truncate(paths[150].c_str(), 130), 0);
  for (int round = 0; round < 50; ++round) CHECK_THROWS(Open(paths), FormatError, paths[150]);
  CHECK_EQ(::unlink(paths[0].c_str()), 0);
  for (int round = 0; round < 50; ++round) CHECK_THROWS(Open(paths), OsError, paths[0]);
}

TEST(FilesOfAnArray, TheTailIsWhatTheLastPageHolds) {
  const TempFolder folder;
  const auto tail_row = [&folder](int64_t rows, int64_t row_bytes, bool fortran_order) {
    WriteNpy(folder / "a.npy", "'|u1'", {rows, row_bytes},
             RandomBytes(static_cast<size_t>(rows * row_bytes)), fortran_order);
    return Open({folder / "a.npy", folder / "a.npy"})->file_rows()[0].tail_row;
  };
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t offset = 128;
  CHECK_EQ(tail_row(3, 100, false), 0);
  CHECK_EQ(tail_row(1, 10 * page, false), 0);
  // Where every row's end is looked at.
  for (const bool fortran_order : {false, true}) {
    for (const int64_t row_bytes : {1, 7, 512, 4096, 5000}) {
      for (const int64_t rows : {1, 2, 9, 100}) {
        const int64_t last_page = (offset + rows * row_bytes - 1) / page;
        int64_t expected = 0;
        for (;; ++expected) {
          const int64_t end =
              fortran_order ? expected + (row_bytes - 1) * rows + 1 : (expected + 1) * row_bytes;
          if ((offset + end - 1) / page == last_page) break;
        }
        CHECK_EQ(tail_row(rows, row_bytes, fortran_order), expected);
      }
    }
  }
  CHECK_EQ(tail_row(5, 0, false), 5);  // no bytes, no tail
}

TEST(Array, LongHeadersAreReadToTheirEnd) {
  const TempFolder folder;
  std::string descr = "[";
  for (int i = 0; i < 300; ++i) descr += "('a_field_" + std::to_string(i) + "', '|u1'), ";
  descr += "]";
  CHECK(descr.size() > 4096);
  WriteNpy(folder / "a.npy", descr, {2}, RandomBytes(600));
  CHECK_EQ(Open({folder / "a.npy"})->rows(), 2);
}

TEST(FilesOfAnArray, MustAgreeInDtypeAndRowShape) {
  const TempFolder folder;
  const auto bytes = RandomBytes(1000);
  WriteNpy(folder / "a.npy", "'<f4'", {2, 3}, bytes);
  WriteNpy(folder / "dtype.npy", "'>f4'", {2, 3}, bytes);
  WriteNpy(folder / "shape.npy", "'<f4'", {2, 4}, bytes);
  WriteNpy(folder / "dimensions.npy", "'<f4'", {2}, bytes);
  WriteNpy(folder / "empty.npy", "'<f4'", {0, 9}, {});
  const std::string a = folder / "a.npy";
  CHECK_THROWS(Open({a, a, folder / "dtype.npy"}), Error,
               a + " has float32, " + (folder / "dtype.npy") + " has >f4");
  CHECK_THROWS(Open({a, folder / "shape.npy"}), Error,
               a + " has (3,), " + (folder / "shape.npy") + " has (4,)");
  CHECK_THROWS(Open({a, folder / "dimensions.npy"}), Error,
               a + " has (3,), " + (folder / "dimensions.npy") + " has ()");
  // One without rows has a say, too.
  CHECK_THROWS(Open({folder / "empty.npy", a}), Error, "has (9,)");
}

TEST(FilesOfAnArray, MayDifferInMemoryOrder) {
  const TempFolder folder;
  WriteNpy(folder / "c.npy", "'<f4'", {2, 3}, RandomBytes(24));
  WriteNpy(folder / "f.npy", "'<f4'", {2, 3}, RandomBytes(24), true);
  const auto array = Open({folder / "c.npy", folder / "f.npy"});
  CHECK_EQ(array->rows(), 4);
  CHECK_EQ(array->file_rows()[0].row_stride, 12);
  CHECK_EQ(array->file_rows()[1].row_stride, 4);
}

TEST(Array, ViewsMemory) {
  const auto memory = RandomBytes(24);
  const std::vector<int64_t> shape = {2, 3};
  const std::vector<int64_t> strides = {-12, 4};
  const auto array = Array::View(memory.data() + 12, testing::DtypeOf("'<f4'"), shape, strides);
  CHECK_EQ(array->rows(), 2);
  CHECK_EQ(array->file_rows()[0].row_stride, -12);
  CHECK(array->data(0) == memory.data() + 12);
  const std::vector<int64_t> none = {0, 3};
  CHECK_EQ(Array::View(nullptr, testing::DtypeOf("'<f4'"), none, strides)->file_rows().size(), 0u);
}

TEST(Array, StampsAreThoseOfItsFilesInOrder) {
  const TempFolder folder;
  const std::string a = folder / "a.npy";
  const std::string b = folder / "b.npy";
  const std::string empty = folder / "empty.npy";
  WriteNpy(a, "'<u2'", {3, 2}, RandomBytes(12));
  WriteNpy(b, "'<u2'", {1, 2}, RandomBytes(4));
  WriteNpy(empty, "'<u2'", {0, 2}, {});
  const auto array = Open({empty, b, a, empty, b});
  // Of those without rows too, though they have no FileRows.
  CHECK_EQ(array->file_rows().size(), 3u);
  const std::vector<FileStamp> stamps = {StampOf(empty), StampOf(b), StampOf(a), StampOf(empty),
                                         StampOf(b)};
  CHECK(array->stamps() == stamps);
  // As they were when they were opened.
  WriteNpy(folder / "new.npy", "'<u2'", {3, 2}, RandomBytes(12, 2));
  CHECK_EQ(::rename((folder / "new.npy").c_str(), a.c_str()), 0);
  CHECK(array->stamps() == stamps);
  CHECK(Open({a})->stamps() != Open({b})->stamps());
  CHECK(Open({a})->stamps() != std::vector<FileStamp>{stamps[2]});
  CHECK(Open({empty})->stamps() == std::vector<FileStamp>{stamps[0]});
}

TEST(CheckFiles, NamesAChangedFileOfAny) {
  const TempFolder folder;
  std::vector<std::string> paths;
  for (int i = 0; i < 40; ++i) {
    paths.push_back(folder / ("a" + std::to_string(i) + ".npy"));
    WriteNpy(paths.back(), "'|u1'", {i == 20 ? 0 : 3}, RandomBytes(i == 20 ? 0 : 3));
  }
  for (const int changed : {0, 13, 20, 39}) {  // the 20th one has no rows
    const std::vector<std::string> few(paths.begin() + changed, paths.begin() + changed + 1);
    const auto many = Open(paths);
    const auto one = Open(few);
    many->CheckFiles();
    one->CheckFiles();
    CHECK(!many->CheckIsDue());
    const std::string& path = paths[static_cast<size_t>(changed)];
    std::ofstream(path, std::ios::app) << "more";
    for (const auto& array : {many, one}) {
      for (int i = 0; i < 3; ++i) {
        CHECK_THROWS(array->CheckFiles(), OsError, path + ": was changed after it was opened");
        CHECK(array->CheckIsDue());
      }
    }
  }
  // Of those that were removed or replaced nothing is to be said.
  const auto array = Open(paths);
  for (const std::string& path : paths) std::filesystem::remove(path);
  WriteFile(paths[0], "another");
  array->CheckFiles();
}

TEST(CheckFiles, IsDueNowAndThen) {
  const TempFolder folder;
  WriteNpy(folder / "a.npy", "'|u1'", {3}, RandomBytes(3));
  const auto array = Open({folder / "a.npy"});
  CHECK(!array->CheckIsDue());
  for (int i = 0; i < 2; ++i) {
    for (int waited = 0; !array->CheckIsDue(); ++waited) {
      CHECK(waited < 10'000);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    array->CheckFiles();
    CHECK(!array->CheckIsDue());
  }
}

TEST(CheckFiles, OfTheRowsThatWereRead) {
  const TempFolder folder;
  std::vector<std::string> paths;
  for (int i = 0; i < 5; ++i) {
    paths.push_back(folder / ("a" + std::to_string(i) + ".npy"));
    WriteNpy(paths.back(), "'|u1'", {i}, RandomBytes(static_cast<size_t>(i)));
  }
  const auto array = Open(paths);
  std::ofstream(paths[3], std::ios::app) << "more";  // rows 3 to 5
  array->CheckFilesOf({});
  array->CheckFilesOf(std::vector<int64_t>{0, 9, 1, 2, 6, 2});
  for (const int64_t row : {3, 4, 5}) {
    CHECK_THROWS(array->CheckFilesOf(std::vector<int64_t>{0, row, 9}), OsError, paths[3]);
    CHECK_THROWS(array->CheckFilesOf(std::vector<int64_t>{row}), OsError, paths[3]);
  }
  array->CheckFilesOf(std::vector<int64_t>{2, 6});
}

TEST(Array, MemoryHasNoStamps) {
  const std::vector<int64_t> shape = {2};
  const std::vector<int64_t> strides = {4};
  const auto memory = RandomBytes(8);
  const auto array = Array::View(memory.data(), testing::DtypeOf("'<f4'"), shape, strides);
  CHECK(array->stamps().empty());
  array->CheckFiles();
  array->CheckFilesOf(std::vector<int64_t>{0});
  CHECK(!array->CheckIsDue());
}

TEST(Array, SaysWhatARowIs) {
  const TempFolder folder;
  const auto row_type = [&folder](const std::string& descr, const std::vector<int64_t>& shape) {
    WriteNpy(folder / "a.npy", descr, shape, RandomBytes(1000));
    return Open({folder / "a.npy"})->row_type();
  };
  CHECK_EQ(row_type("'<f4'", {0, 32, 32, 3}), "float32 (32, 32, 3)");
  CHECK_EQ(row_type("'<f4'", {5, 3}), "float32 (3,)");
  CHECK_EQ(row_type("'|u1'", {5}), "uint8 ()");
  CHECK_EQ(row_type("'|u1'", {5, 0}), "uint8 (0,)");
  CHECK_EQ(row_type("'>i2'", {5}), ">i2 ()");
  CHECK_EQ(row_type("[('x', '<f4'), ('y', '>i8')]", {5, 1}),
           "[('x', 'float32'), ('y', '>i8')] (1,)");
  // The order of the items in the file is no matter.
  WriteNpy(folder / "c.npy", "'<f4'", {2, 3}, RandomBytes(24));
  WriteNpy(folder / "f.npy", "'<f4'", {7, 3}, RandomBytes(84), true);
  CHECK_EQ(Open({folder / "c.npy"})->row_type(), Open({folder / "f.npy"})->row_type());
  const std::vector<int64_t> shape = {2, 6};
  const std::vector<int64_t> strides = {24, -4};
  const auto memory = RandomBytes(48);
  CHECK_EQ(Array::View(memory.data(), testing::DtypeOf("'<f4'"), shape, strides)->row_type(),
           "float32 (6,)");
}

// 10^12 rows of one byte: nothing may take memory or time by the row.
TEST(Array, ATerabyte) {
  const TempFolder folder;
  const std::string path = folder / "a.npy";
  constexpr int64_t kRows = 1'000'000'000'000;
  const std::string header = NpyHeader("'|u1'", std::vector<int64_t>{kRows});
  WriteFile(path, header);
  const int64_t size = static_cast<int64_t>(header.size()) + kRows;
  if (::truncate(path.c_str(), size) != 0) SKIP("this filesystem holds no file of 1 TB");
  WriteNpy(folder / "b.npy", "'|u1'", {2}, RandomBytes(2));
  std::shared_ptr<const Array> array;
  try {
    array = Open({path, folder / "b.npy"});
  } catch (const OsError& e) {
    if (!testing::kThreadSanitizer || e.code() != ENOMEM) throw;
    SKIP("the shadow memory of ThreadSanitizer leaves no room for 1 TB");
  }
  CHECK_EQ(array->rows(), kRows + 2);
  CHECK_EQ(array->FileOf(kRows - 1), 0u);
  CHECK_EQ(array->FileOf(kRows), 1u);
  CHECK_EQ(static_cast<int>(array->data(0)[kRows - 1]), 0);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
