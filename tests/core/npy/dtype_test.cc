#include "core/npy/dtype.h"

#include <string>
#include <string_view>

#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::DtypeOf;

std::string Name(std::string_view descr) { return DtypeName(DtypeOf(descr)); }
bool Same(std::string_view a, std::string_view b) { return SameDtype(DtypeOf(a), DtypeOf(b)); }

TEST(DtypeName, SaysWhatNumPySays) {
  CHECK_EQ(Name("'|b1'"), "bool");
  CHECK_EQ(Name("'|u1'"), "uint8");
  CHECK_EQ(Name("'<i8'"), "int64");
  CHECK_EQ(Name("'<f2'"), "float16");
  CHECK_EQ(Name("'<c16'"), "complex128");
  CHECK_EQ(Name("'>f4'"), ">f4");
  CHECK_EQ(Name("'>c8'"), ">c8");
  CHECK_EQ(Name("'<U5'"), "<U5");
  CHECK_EQ(Name("'>U5'"), ">U5");
  CHECK_EQ(Name("'|S3'"), "|S3");
  CHECK_EQ(Name("'|V7'"), "|V7");
  CHECK_EQ(Name("'<M8[ns]'"), "<M8[ns]");
  CHECK_EQ(Name("'>m8[25s]'"), ">m8[25s]");
  CHECK_EQ(Name("'|O'"), "object");
}

TEST(DtypeName, ListsFields) {
  CHECK_EQ(Name("[('x', '<f4'), ('n', '<i8')]"), "[('x', 'float32'), ('n', 'int64')]");
  CHECK_EQ(Name("[('p', [('x', '>f4')])]"), "[('p', [('x', '>f4')])]");
  CHECK_EQ(Name("[('m', '<f4', (2, 3))]").find("[('m', (float32, (2, 3"), 0u);
}

TEST(SameDtype, ComparesWhatDecidesTheBytes) {
  CHECK(Same("'<f4'", "'<f4'"));
  CHECK(!Same("'<f4'", "'>f4'"));
  CHECK(!Same("'<f4'", "'<i4'"));
  CHECK(!Same("'<f4'", "'<f8'"));
  CHECK(!Same("'<M8[s]'", "'<M8[ms]'"));
  CHECK(!Same("'|S4'", "'|V4'"));
  CHECK(Same("[('x', '<f4'), ('y', '<f4')]", "[('x', '<f4'), ('y', '<f4')]"));
  CHECK(!Same("[('x', '<f4'), ('y', '<f4')]", "[('x', '<f4'), ('z', '<f4')]"));
  CHECK(!Same("[('x', '<f4'), ('y', '<f4')]", "[('x', '<f4'), ('y', '<i4')]"));
  CHECK(!Same("[('x', '<f4'), ('y', '<f4')]", "[('x', '<f4', (2,))]"));
  CHECK(!Same("[('x', '<f4', (2, 3))]", "[('x', '<f4', (3, 2))]"));
  CHECK(!Same("[('x', '<f4', (2,))]", "[('x', '>f4', (2,))]"));
  CHECK(!Same("[('x', '<f4')]", "'<f4'"));
}

TEST(SameDtype, ComparesThePlacesOfFields) {
  CHECK(!Same("[('x', '|u1'), ('', '|V1'), ('y', '|u1')]",
              "[('', '|V1'), ('x', '|u1'), ('y', '|u1')]"));
}

TEST(SameDtype, IgnoresTitles) { CHECK(Same("[(('a title', 'x'), '<f4')]", "[('x', '<f4')]")); }

TEST(SameDtype, TellsNoFieldsFromPlainBytes) { CHECK(!Same("[('', '|V4')]", "'|V4'")); }

}  // namespace
}  // namespace npyfast

TEST_MAIN()
