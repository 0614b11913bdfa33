#include "core/source/array_source.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/errors.h"
#include "core/source/array.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::NpyHeader;
using testing::TempFolder;
using testing::WriteFile;
using testing::WriteNpy;

using Kind = ArraySource::Kind;

const std::vector<int64_t> kTwo{2};
const std::vector<int64_t> kThreeTwo{3, 2};
const std::vector<int64_t> kThreeZero{3, 0};

std::string Int32Header() { return NpyHeader("'<i4'", kTwo); }

FileStamp Stamp(int64_t number) {
  // Large numbers, which have to come back from numbers with a sign.
  return {~uint64_t{0} - static_cast<uint64_t>(number), uint64_t{1} << 63, number, -number, 5};
}

// An array of each kind, in the order of their numbers.
std::vector<ArrayFiles> OneOfEachKind() {
  return {
      {{.kind = Kind::kNpyFiles, .paths = {"/a.npy", "/b.npy"}},
       {Stamp(1), Stamp(2)},
       "int32 ()",
       4},
      {{.kind = Kind::kExtents,
        .paths = {"/x.npz", "/y.npz"},
        .headers = {Int32Header(), Int32Header()},
        .offsets = {40, 0}},
       {Stamp(3), Stamp(4)},
       "int32 ()",
       4},
      {{.kind = Kind::kRowFiles, .paths = {"/0.npy", "/1.npy", "/2.npy", "/3.npy"}},
       {},
       "float32 (3,)",
       4},
      {{.kind = Kind::kMemory, .headers = {Int32Header()}, .offsets = {9}, .strides = {-4}},
       {},
       "int32 ()",
       4},
  };
}

void CheckSame(const std::vector<ArrayFiles>& some, const std::vector<ArrayFiles>& others) {
  CHECK_EQ(some.size(), others.size());
  for (size_t i = 0; i < some.size(); ++i) {
    CHECK(some[i].source == others[i].source);
    CHECK(some[i].stamps == others[i].stamps);
    CHECK_EQ(some[i].row_type, others[i].row_type);
    CHECK_EQ(some[i].rows, others[i].rows);
  }
}

TEST(Encode, AndDecodeAreInverse) {
  std::vector<ArrayFiles> arrays = OneOfEachKind();
  for (int order = 0; order < 8; ++order) {
    CheckSame(Decode(Encode(arrays)), arrays);
    std::rotate(arrays.begin(), arrays.begin() + 1, arrays.end());
    if (order == 3) std::swap(arrays[0], arrays[1]);
  }
  for (const ArrayFiles& array : arrays) CheckSame(Decode(Encode({&array, 1})), {array});
}

// Saved graphs hold these lists.
TEST(Encode, WritesWhatSavedGraphsHold) {
  const std::vector<ArrayFiles> arrays = OneOfEachKind();
  const EncodedArrays encoded = Encode(arrays);
  const std::string zero(1, '\0');
  CHECK_EQ(encoded.files, (std::vector<std::string>{
                              "/a.npy" + zero + "/b.npy", "/x.npz" + zero + "/y.npz",
                              "/0.npy" + zero + "/1.npy" + zero + "/2.npy" + zero + "/3.npy"}));
  CHECK_EQ(encoded.file_counts, (std::vector<int64_t>{2, 2, 4, 0}));
  CHECK_EQ(encoded.kinds, (std::vector<int64_t>{0, 1, 2, 3}));
  CHECK_EQ(encoded.headers, (std::vector<std::string>(3, Int32Header())));
  CHECK_EQ(encoded.offsets, (std::vector<int64_t>{40, 0, 9}));
  CHECK_EQ(encoded.strides, (std::vector<int64_t>{-4}));
  CHECK_EQ(encoded.stamps.size(), 20u);
  CHECK_EQ(encoded.stamps[0], -2);
  CHECK_EQ(encoded.row_types,
           (std::vector<std::string>{"int32 ()", "int32 ()", "float32 (3,)", "int32 ()"}));
  CHECK_EQ(encoded.rows, 4);
  std::vector<std::string> names;
  EncodedArrays::ForEach(encoded, [&](const char* name, const auto&) { names.emplace_back(name); });
  CHECK_EQ(names,
           (std::vector<std::string>{"files", "shards", "kinds", "headers", "offsets", "strides",
                                     "stamps", "views", "row_types", "rows_of_leaf"}));
  CHECK(encoded.views.empty());
}

TEST(Encode, ViewsAreNumbers) {
  std::vector<ArrayFiles> arrays = OneOfEachKind();
  arrays[1].source.view = {.window = {4, 5}, .stride = {1, 2}, .start = -3, .step = 7};
  const EncodedArrays encoded = Encode(arrays);
  CHECK_EQ(encoded.views, (std::vector<int64_t>{0, 0, INT64_MAX, 1,                       //
                                                2, 4, 5,         1, 2, -3, INT64_MAX, 7,  //
                                                0, 0, INT64_MAX, 1,                       //
                                                0, 0, INT64_MAX, 1}));
  CheckSame(Decode(encoded), arrays);
}

TEST(Encode, MakesPathsAbsolute) {
  const ArrayFiles relative{{.paths = {"a.npy"}}, {Stamp(1)}, "int32 ()", 4};
  CHECK_EQ(Encode({&relative, 1}).files[0], AbsolutePath("a.npy"));
}

TEST(Decode, OlderGraphsHoldNoKindsAndOnePathAnEntry) {
  const ArrayFiles array = OneOfEachKind()[0];
  EncodedArrays encoded = Encode({&array, 1});
  encoded.kinds.clear();
  encoded.files = {"/a.npy", "/b.npy"};
  CheckSame(Decode(encoded), {array});
}

TEST(Decode, NamesTheMalformedAttribute) {
  const auto refuses = [](const char* attribute, const auto& change) {
    const std::vector<ArrayFiles> arrays = OneOfEachKind();
    EncodedArrays encoded = Encode(arrays);
    change(encoded);
    CHECK_THROWS(Decode(encoded), FormatError, attribute);
  };
  refuses("files", [](EncodedArrays& e) { e = {}; });
  refuses("files", [](EncodedArrays& e) { e.row_types.pop_back(); });
  refuses("files", [](EncodedArrays& e) { e.kinds.pop_back(); });
  refuses("files", [](EncodedArrays& e) { e.headers.pop_back(); });
  refuses("files", [](EncodedArrays& e) { e.files.emplace_back("/one too many"); });
  refuses("files", [](EncodedArrays& e) { e.stamps.push_back(0); });
  refuses("shards", [](EncodedArrays& e) { e.files.pop_back(); });
  for (const int64_t count : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{5}, INT64_MAX})
    refuses("shards", [count](EncodedArrays& e) { e.file_counts[2] = count; });
  for (const int64_t kind : {INT64_MIN, int64_t{-1}, int64_t{4}, INT64_MAX})
    refuses("kinds", [kind](EncodedArrays& e) { e.kinds[1] = kind; });
  refuses("shards", [](EncodedArrays& e) { e.kinds[0] = 3; });
  refuses("shards", [](EncodedArrays& e) { e.kinds[3] = 0; });
  refuses("strides", [](EncodedArrays& e) { e.strides.clear(); });
  refuses("files", [](EncodedArrays& e) { e.strides.push_back(0); });
  refuses("headers", [](EncodedArrays& e) { e.headers[2] = NpyHeader("'<i4'", {}); });
  refuses("headers", [](EncodedArrays& e) { e.kinds[0] = 1; });
  refuses("headers", [](EncodedArrays& e) { e.headers[1] = "no header"; });
  refuses("headers", [](EncodedArrays& e) { e.offsets[0] = -1; });
  refuses("stamps", [](EncodedArrays& e) { e.stamps.pop_back(); });
  refuses("stamps", [](EncodedArrays& e) { e.kinds[2] = 0; });
  const std::vector<int64_t> plain{0, 0, 9, 1};
  const std::vector<std::vector<int64_t>> malformed{
      {},
      {0},
      {0, 0, 9, 0},
      {-1, 0, 9, 1},
      {1, 0, 1, 0, 9, 1},
      {64, 64},
      {INT64_MAX, 0},
      {1, 1, -1, 0, 9, 1},
      {65},
  };
  for (const std::vector<int64_t>& last : malformed) {
    refuses("views", [&](EncodedArrays& e) {
      for (int array = 0; array < 3; ++array)
        e.views.insert(e.views.end(), plain.begin(), plain.end());
      e.views.insert(e.views.end(), last.begin(), last.end());
    });
  }
  refuses("files", [&](EncodedArrays& e) {
    for (int array = 0; array < 5; ++array)
      e.views.insert(e.views.end(), plain.begin(), plain.end());
  });
}

TEST(OpenArray, OpensEachKind) {
  const TempFolder folder;
  const std::vector<int32_t> numbers{7, 8};
  const std::string data(reinterpret_cast<const char*>(numbers.data()), 8);
  WriteFile(folder / "rows.npy", Int32Header() + data);
  WriteFile(folder / "raw", "......" + data);
  const auto check = [](const Array& array, int64_t rows, const std::string& row_type) {
    CHECK_EQ(array.rows(), rows);
    CHECK_EQ(array.row_type(), row_type);
  };
  check(*OpenArray({.paths = {folder / "rows.npy", folder / "rows.npy"}}), 4, "int32 ()");
  check(*OpenArray({.kind = Kind::kRowFiles, .paths = {folder / "rows.npy"}}), 1, "int32 (2,)");
  const auto extent = OpenArray({.kind = Kind::kExtents,
                                 .paths = {folder / "raw"},
                                 .headers = {Int32Header()},
                                 .offsets = {6}});
  check(*extent, 2, "int32 ()");
  CHECK_EQ(extent->data(0)[0], std::byte{7});
}

TEST(ViewMemory, SharesItemsInAnyOrder) {
  const std::vector<int32_t> numbers{0, 1, 2, 3, 4, 5};
  const auto data = std::make_shared<std::vector<int32_t>>(numbers);
  const std::shared_ptr<const std::byte> bytes(data,
                                               reinterpret_cast<const std::byte*>(data->data()));
  const ArraySource reversed{.kind = Kind::kMemory,
                             .headers = {NpyHeader("'<i4'", kThreeTwo)},
                             .offsets = {16},
                             .strides = {-8, 4}};
  const auto array = ViewMemory(reversed, bytes, 24);
  CHECK_EQ(array->rows(), 3);
  CHECK_EQ(array->row_type(), "int32 (2,)");
  CHECK(array->data(0) == bytes.get() + 16);
  CHECK_EQ(data.use_count(), 3);
}

TEST(ViewMemory, RefusesItemsOutsideTheMemory) {
  const std::vector<std::byte> memory(24);
  const std::shared_ptr<const std::byte> bytes(std::shared_ptr<void>(), memory.data());
  const auto source = [](int64_t offset, std::vector<int64_t> strides) {
    return ArraySource{.kind = Kind::kMemory,
                       .headers = {NpyHeader("'<i4'", kThreeTwo)},
                       .offsets = {offset},
                       .strides = std::move(strides)};
  };
  ViewMemory(source(0, {8, 4}), bytes, 24);
  ViewMemory(source(20, {-8, -4}), bytes, 24);
  ViewMemory(source(20, {0, 0}), bytes, 24);
  for (const auto& wrong :
       {source(1, {8, 4}), source(0, {9, 4}), source(0, {8, -1}), source(21, {0, 0}),
        source(19, {-8, -4}), source(INT64_MAX, {0, 0}), source(0, {INT64_MAX, INT64_MAX}),
        source(0, {INT64_MIN, INT64_MIN}), source(8, {INT64_MIN, INT64_MAX})}) {
    CHECK_THROWS(ViewMemory(wrong, bytes, 24), FormatError, "strides");
  }
  CHECK_THROWS(ViewMemory(source(0, {8, 4}), bytes, 23), FormatError, "strides");
  // Nothing is read of an array without items.
  const ArraySource nothing{.kind = Kind::kMemory,
                            .headers = {NpyHeader("'<i4'", kThreeZero)},
                            .offsets = {INT64_MAX},
                            .strides = {1, INT64_MIN}};
  CHECK_EQ(ViewMemory(nothing, nullptr, 0)->rows(), 3);
}

TEST(OpenArray, RefusesAFileInAnotherState) {
  const TempFolder folder;
  WriteFile(folder / "rows.npy", Int32Header() + std::string(8, '\0'));
  const ArraySource source{.paths = {folder / "rows.npy"}};
  std::vector<FileStamp> stamps{StampOf(folder / "rows.npy")};
  CHECK_EQ(OpenArray(source, stamps)->stamps(), stamps);
  ++stamps[0].modified_ns;
  CHECK_THROWS(OpenArray(source, stamps), OsError, "was changed or replaced");
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
