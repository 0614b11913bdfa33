#include "core/npy/header.h"

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/errors.h"
#include "core/npy/dtype_parser.h"
#include "tests/core/support/check.h"

namespace npyfast {
namespace {

// A file's first bytes, up to its data.
std::string File(std::string_view header, int major = 1, int minor = 0) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(major);
  file += static_cast<char>(minor);
  for (int byte = 0; byte < (major == 1 ? 2 : 4); ++byte) {
    file += static_cast<char>((header.size() >> (8 * byte)) & 0xFF);
  }
  return file.append(header);
}

Header Parse(std::string_view header, int major = 1) { return ParseHeader(File(header, major)); }

std::string WithDescr(std::string_view descr) {
  return "{'descr': " + std::string(descr) + ", 'fortran_order': False, 'shape': (2,), }";
}

std::string WithShape(std::string_view shape) {
  return "{'descr': '|u1', 'fortran_order': False, 'shape': " + std::string(shape) + ", }";
}

Dtype Descr(std::string_view descr) { return Parse(WithDescr(descr)).dtype; }
std::vector<int64_t> Shape(std::string_view shape, int major = 1) {
  return Parse(WithShape(shape), major).shape;
}

// kind, '>' if swapped, bytes, unit: "i8", "f>4", "M8[s]".
std::string Text(const Dtype& dtype) {
  std::string text(1, dtype.kind);
  if (dtype.swapped) text += '>';
  text += std::to_string(dtype.itemsize);
  if (!dtype.unit.empty()) text += "[" + dtype.unit + "]";
  return text;
}

// The dtype of the string `text`.
std::string String(std::string_view text) { return Text(ParseDtypeString(text)); }

const std::string kPlain = WithDescr("'<f4'");

// --- The first bytes.

TEST(Prefix, TellsWhereTheDataBegins) {
  CHECK_EQ(HeaderBytes(File(std::string(118, ' '), 1).substr(0, kPrefixBytes)), 128);
  CHECK_EQ(HeaderBytes(File(std::string(116, ' '), 2).substr(0, kPrefixBytes)), 128);
  CHECK_EQ(HeaderBytes(File(std::string(500, ' '), 3).substr(0, kPrefixBytes)), 512);
}

TEST(Prefix, ReadsTheLengthAsUnsigned) {
  CHECK_EQ(HeaderBytes(File(std::string(0xF0, ' '), 1)), 10 + 0xF0);
  CHECK_THROWS(HeaderBytes(std::string_view("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF", 12)), FormatError,
               "4294967295 bytes");
}

TEST(Prefix, CapsTheHeader) {
  CHECK_EQ(HeaderBytes(File(std::string(10000, ' '))), 10010);
  CHECK_THROWS(HeaderBytes(File(std::string(10001, ' '))), FormatError, "10,000 characters");
  CHECK_EQ(HeaderBytes(File(std::string(40000, ' '), 3)), kMaxHeaderBytes);
  CHECK_THROWS(HeaderBytes(File(std::string(40001, ' '), 3)), FormatError, "10,000 characters");
}

TEST(Prefix, RefusesUnknownVersions) {
  CHECK_THROWS(HeaderBytes(File(kPlain, 0)), FormatError, "version 0.0");
  CHECK_THROWS(HeaderBytes(File(kPlain, 4)), FormatError, "version 4.0");
  CHECK_THROWS(HeaderBytes(File(kPlain, 1, 1)), FormatError, "version 1.1");
  CHECK_THROWS(HeaderBytes(File(kPlain, 255)), FormatError, "version 255.0");
}

TEST(Prefix, NamesWhatElseTheFileIs) {
  using namespace std::string_view_literals;
  CHECK_THROWS(HeaderBytes(""), FormatError, "empty");
  CHECK_THROWS(HeaderBytes("PK\x03\x04 rest"), FormatError, "zip");
  CHECK_THROWS(HeaderBytes("\x89HDF\r\n\x1a\n"), FormatError, "HDF5");
  CHECK_THROWS(HeaderBytes("\x80\x04\x95 rest"), FormatError, "pickle");
  CHECK_THROWS(HeaderBytes("1,2,3\n"), FormatError, "does not begin with");
  // One reader lets any of the right letters pass.
  CHECK_THROWS(HeaderBytes("\x93YPMUN\x01\x00 and more"sv), FormatError, "does not begin with");
}

TEST(Prefix, RefusesTruncatedFiles) {
  const std::string file = File(kPlain);
  for (size_t length = 0; length < file.size(); ++length) {
    CHECK_THROWS(ParseHeader(file.substr(0, length)), FormatError,
                 length == 0 ? "empty" : "ends within");
  }
  ParseHeader(file);
}

TEST(Prefix, IgnoresWhatFollowsTheHeader) {
  CHECK_EQ(ParseHeader(File(kPlain) + "data").data_offset,
           static_cast<int64_t>(File(kPlain).size()));
}

// --- The dictionary.

TEST(Header, HasAllThatNumPyWrites) {
  const std::string text =
      "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 5), }                    \n";
  for (const int major : {1, 2, 3}) {
    const Header header = Parse(text, major);
    CHECK_EQ(header.major, major);
    CHECK_EQ(header.minor, 0);
    CHECK(header.shape == std::vector<int64_t>({3, 5}));
    CHECK_EQ(Text(header.dtype), "f8");
    CHECK(header.fortran_order);
    CHECK_EQ(header.data_offset, static_cast<int64_t>((major == 1 ? 10 : 12) + text.size()));
    CHECK_EQ(header.elements(), 15);
    CHECK_EQ(header.data_bytes(), 120);
  }
}

TEST(Header, TakesKeysInAnyOrder) {
  CHECK_EQ(Parse("{'shape':(7,),'descr':'<i2','fortran_order':False}").shape[0], 7);
  CHECK_EQ(Parse("{'fortran_order':False,'shape':(7,),'descr':'<i2'}").shape[0], 7);
}

TEST(Header, TakesTheLastOfEqualKeys) {
  CHECK_EQ(Parse("{'shape':(1.5,{2},b'x',...,1+2j),'shape':(7,),'descr':'b','fortran_order':False}")
               .shape[0],
           7);
}

TEST(Header, RefusesMissingKeys) {
  CHECK_THROWS(Parse("{'fortran_order':False,'shape':()}"), FormatError, "no 'descr'");
  CHECK_THROWS(Parse("{'descr':'b','shape':()}"), FormatError, "no 'fortran_order'");
  CHECK_THROWS(Parse("{'descr':'b','fortran_order':False}"), FormatError, "no 'shape'");
  CHECK_THROWS(Parse("{}"), FormatError, "no 'descr'");
}

TEST(Header, RefusesOtherKeys) {
  CHECK_THROWS(Parse("{'descr':'b','fortran_order':False,'shape':(),'x':1}"), FormatError,
               "other keys");
  CHECK_THROWS(Parse("{'descr':'b','fortran_order':False,'shape':(),1:1}"), FormatError,
               "other keys");
  CHECK_THROWS(Parse("{'descr':'b','fortran_order':False,b'shape':()}"), FormatError, "other keys");
}

TEST(Header, RefusesWhatIsNoDictionary) {
  for (const char* text : {"()", "[]", "{1, 2}", "'x'", "1", "None", "{},", "set()"}) {
    CHECK_THROWS(Parse(text), FormatError, "no dictionary");
  }
}

TEST(Header, RefusesAFortranOrderThatIsNoBool) {
  CHECK_THROWS(Parse("{'descr':'b','fortran_order':0,'shape':()}"), FormatError, "fortran_order");
  CHECK_THROWS(Parse("{'descr':'b','fortran_order':None,'shape':()}"), FormatError,
               "fortran_order");
}

TEST(Header, CountsCharactersOfVersion3) {
  // 10,000 characters of four bytes each are allowed, one more is not.
  const std::string start = kPlain + "#";
  std::string text = start;
  while (text.size() < start.size() + 4 * (10000 - start.size())) text += "\xF0\x9F\x98\x80";
  Parse(text, 3);
  CHECK_THROWS(Parse(text + "x", 3), FormatError, "10001 characters");
}

TEST(Header, RefusesVersion3ThatIsNotUtf8) {
  for (const char* bad : {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    CHECK_THROWS(Parse(kPlain + "#" + bad, 3), FormatError, "not UTF-8");
    Parse(kPlain + "#" + bad, 1);
  }
}

TEST(Header, ReadsLatin1AndUtf8Names) {
  CHECK_EQ(Parse(WithDescr("[('\xE9', 'b')]"), 1).dtype.fields[0].name, "\xC3\xA9");
  CHECK_EQ(Parse(WithDescr("[('\xC3\xA9', 'b')]"), 3).dtype.fields[0].name, "\xC3\xA9");
}

// --- The shape.

TEST(Shape, TakesAnyNumberOfDimensions) {
  CHECK(Shape("()").empty());
  CHECK_EQ(Parse(WithShape("()")).elements(), 1);
  CHECK(Shape("(0,)") == std::vector<int64_t>({0}));
  std::string ones = "(";
  for (int i = 0; i < 64; ++i) ones += "1,";
  CHECK_EQ(Shape(ones + ")").size(), 64u);
  CHECK_THROWS(Shape(ones + "1)"), FormatError, "65 dimensions");
}

TEST(Shape, TakesIntsInAnyBase) {
  CHECK(Shape("(1_000, 0x1_F, 0o17, 0B11, 000, +5)") ==
        std::vector<int64_t>({1000, 31, 15, 3, 0, 5}));
}

TEST(Shape, TakesPythonTwosLongs) {
  CHECK(Shape("(3L, 0x10L, 4 L L, 5\\\n L)") == std::vector<int64_t>({3, 16, 4, 5}));
  CHECK(Shape("(3L,)", 2) == std::vector<int64_t>({3}));
  CHECK_THROWS(Shape("(3L,)", 3), FormatError, "malformed number");
  CHECK_THROWS(Shape("(3l,)"), FormatError, "malformed number");
  CHECK_THROWS(Shape("(3LL,)"), FormatError, "malformed number");
  CHECK_THROWS(Shape("(3\nL,)"), FormatError, "missing comma");
}

TEST(Shape, RefusesWhatIsNoTupleOfInts) {
  for (const char* shape : {"3", "(3)", "[3]", "None", "'3'", "{3: 3}"}) {
    CHECK_THROWS(Shape(shape), FormatError, "'shape' is no tuple");
  }
  for (const char* shape : {"(3.0,)", "('3',)", "(None,)", "((3,),)", "(True,)", "(3j,)"}) {
    CHECK_THROWS(Shape(shape), FormatError, "no int");
  }
}

TEST(Shape, RefusesNegativeDimensions) {
  // NumPy's reader of headers lets them pass, and numpy.load fails then.
  CHECK_THROWS(Shape("(-1,)"), FormatError, "negative");
  CHECK_THROWS(Shape("(3, -9999999999999999999999)"), FormatError, "negative");
}

TEST(Shape, RefusesOverflow) {
  CHECK_THROWS(Shape("(9223372036854775808,)"), FormatError, "larger than any array");
  CHECK_THROWS(Shape("(18446744073709551617,)"), FormatError, "larger than any array");
  CHECK_THROWS(Shape("(4294967296, 4294967296)"), FormatError, "larger than any array");
  CHECK_EQ(Parse(WithShape("(9223372036854775807,)")).data_bytes(), INT64_MAX);
  CHECK_THROWS(Parse("{'descr':'<f8','fortran_order':False,'shape':(2305843009213693952,)}"),
               FormatError, "larger than any array");
  CHECK_THROWS(Parse("{'descr':'V0','fortran_order':False,'shape':(4294967296,4294967296)}"),
               FormatError, "larger than any array");
}

TEST(Shape, IsNotExcusedByAZero) {
  // As in NumPy, which would not make such an array.
  CHECK_THROWS(Shape("(0, 4294967296, 4294967296)"), FormatError, "larger than any array");
  CHECK_EQ(Parse(WithShape("(0, 4294967296)")).data_bytes(), 0);
}

// --- Python's literals.

TEST(Literal, TakesWhiteSpaceCommentsAndContinuations) {
  const std::string text =
      " \t{ 'descr'\n:\r\n'b' # \xE9 comment }\n ,\f'fortran_order' : "
      "\\\nFalse,'shape':(\t3\r,)}\n # end\n \n";
  CHECK_EQ(Parse(text).shape[0], 3);
  CHECK_EQ(Parse("# first\n\n{'descr':'b','fortran_order':False,'shape':(3,)}").shape[0], 3);
}

TEST(Literal, TakesParenthesesAndTrailingCommas) {
  CHECK_EQ(Parse("(({(('descr')):('b'),'fortran_order':(False),'shape':((3),),}))").shape[0], 3);
}

TEST(Literal, JoinsStringsAndReadsPrefixesAndEscapes) {
  CHECK_EQ(Descr("'<' \"f4\"").kind, 'f');
  CHECK_EQ(Descr("u'<f4'").kind, 'f');
  CHECK_EQ(Descr("r'<f4'").kind, 'f');
  CHECK_EQ(Descr("'''<f4'''").kind, 'f');
  CHECK_EQ(Descr("'<\\x66\\64'").kind, 'f');
  CHECK_EQ(Descr("'<\\\nf4'").kind, 'f');
  CHECK_EQ(Descr("[('\\u00e9\\U0001f600\\n\\q\\400', 'b')]").fields[0].name,
           "\xC3\xA9\xF0\x9F\x98\x80\n\\q\xC4\x80");
  CHECK_EQ(Descr("[(r'\\n\\'', 'b')]").fields[0].name, "\\n\\'");
}

TEST(Literal, RefusesMalformedStrings) {
  CHECK_THROWS(Parse("'<f4"), FormatError, "unclosed string");
  CHECK_THROWS(Descr("'<f4\n'"), FormatError, "unclosed string");
  CHECK_THROWS(Parse("'''<f4'"), FormatError, "unclosed string");
  CHECK_THROWS(Descr("f'<f4'"), FormatError, "string prefix");
  CHECK_THROWS(Descr("ur'<f4'"), FormatError, "string prefix");
  CHECK_THROWS(Descr("rr'<f4'"), FormatError, "string prefix");
  CHECK_THROWS(Descr("b'<f4' 'x'"), FormatError, "bytes joined");
  CHECK_THROWS(Descr("b'\xE9'"), FormatError, "not ASCII");
  CHECK_THROWS(Descr("'\\x4'"), FormatError, "truncated escape");
  CHECK_THROWS(Descr("'\\ud800'"), FormatError, "no character");
  CHECK_THROWS(Descr("'\\U00110000'"), FormatError, "no character");
  CHECK_THROWS(Descr("'\\N{DASH}'"), FormatError, "character's name");
}

TEST(Literal, RefusesMalformedNumbers) {
  for (const char* number :
       {"01",  "1_",  "1__0", "0x",    "0b2", "0o8",     "0xg",   "1e",  "1e+", "1a", "1_e5",
        "--1", "+-1", "-'1'", "-True", "1+2", "1+2j+3j", "1j+2j", "1*2", "~1",  "1 2"}) {
    CHECK_THROWS(Shape("(" + std::string(number) + ",)"), FormatError, "not a Python literal");
  }
}

TEST(Literal, RefusesUnbalancedBrackets) {
  for (const char* text : {"{", "{'descr':", "{'descr':(", "{'descr':(1]}", "{'descr':1",
                           "{'descr':1)", "}", "(", "({}"}) {
    CHECK_THROWS(Parse(text), FormatError, "not a Python literal");
  }
}

TEST(Literal, RefusesStrayCommasAndColons) {
  for (const char* text :
       {"{,}", "(,)", "{1:}", "{:1}", "{1:2:3}", "{1:2,,}", "{1,2:3}", "{1:2 3:4}", "(1 2)"}) {
    CHECK_THROWS(Parse(text), FormatError, "not a Python literal");
  }
}

TEST(Literal, RefusesCode) {
  for (const char* text : {"dict()", "{'descr': open('x')}", "set([1])", "{**{}}", "[*()]",
                           "lambda: 1", "x", "Ellipsis", "{'a': 1}['a']", "[i for i in ()]",
                           "{}.keys()", "1 if 1 else 2", "not 1", "true"}) {
    CHECK_THROWS(Parse(text), FormatError, "not a Python literal");
  }
}

TEST(Literal, RefusesUnhashableKeys) {
  for (const char* text : {"{[]: 1}", "{(1, {}): 1}", "{{1}: 1}", "{1, []}"}) {
    CHECK_THROWS(Parse(text), FormatError, "unhashable");
  }
}

TEST(Literal, RefusesWhatFollows) {
  for (const char* after : {"x", "{}", ";", "\\", "\\\n", "\v", "\x1a", "+1"}) {
    CHECK_THROWS(Parse(kPlain + after), FormatError, "not a Python literal");
  }
  CHECK_THROWS(Parse(kPlain + std::string(1, '\0')), FormatError, "NUL");
  CHECK_THROWS(Parse("\n " + kPlain), FormatError, "indented");
}

TEST(Literal, LimitsNesting) {
  const auto nested = [](size_t depth) {
    return "{'shape': " + std::string(depth, '[') + std::string(depth, ']') +
           ", 'descr': 'b', 'fortran_order': False, 'shape': ()}";
  };
  Parse(nested(199));
  CHECK_THROWS(Parse(nested(200)), FormatError, "200 nested brackets");
  CHECK_THROWS(Parse(std::string(9000, '(')), FormatError, "200 nested brackets");
  CHECK_THROWS(Parse(std::string(9000, '-') + "1"), FormatError, "not a Python literal");
}

// --- The dtype as a string.

TEST(DtypeString, ReadsKindsAndSizes) {
  CHECK_EQ(String("|b1"), "b1");
  CHECK_EQ(String("|i1"), "i1");
  CHECK_EQ(String("<u8"), "u8");
  CHECK_EQ(String("=f2"), "f2");
  CHECK_EQ(String("<c16"), "c16");
  CHECK_EQ(String("|S10"), "S10");
  CHECK_EQ(String("<U3"), "U12");
  CHECK_EQ(String("|V7"), "V7");
  CHECK_EQ(String("S"), "S0");
  CHECK_EQ(String("a5"), "S5");
  CHECK_EQ(String("|O"), "O8");
  CHECK_EQ(String("O4"), "O8");
}

TEST(DtypeString, ReadsByteOrders) {
  const std::string other = std::endian::native == std::endian::little ? ">" : "<";
  CHECK_EQ(String(other + "f4"), "f>4");
  CHECK_EQ(String(other + "U3"), "U>12");
  CHECK_EQ(String(other + "M8[s]"), "M>8[s]");
  // One byte has no order, and text of bytes has none.
  CHECK_EQ(String(other + "i1"), "i1");
  CHECK_EQ(String(other + "S3"), "S3");
  CHECK_EQ(String(other + "V3"), "V3");
}

TEST(DtypeString, ReadsNamesAndLetters) {
  CHECK_EQ(String("float32"), "f4");
  CHECK_EQ(String("uint8"), "u1");
  CHECK_EQ(String("complex"), "c16");
  CHECK_EQ(String("str"), "U0");
  CHECK_EQ(String("d"), "f8");
  CHECK_EQ(String(">e"), std::endian::native == std::endian::little ? "f>2" : "f2");
  CHECK_EQ(String("?"), "b1");
  CHECK_EQ(String("c"), "S1");
  CHECK_EQ(String("\x0c"), "f8");  // the number of a type
  CHECK_THROWS(String("<float32"), FormatError, "<float32");
  CHECK_THROWS(String("Float32"), FormatError, "Float32");
}

TEST(DtypeString, ReadsSizesAsLenientlyAsNumPy) {
  CHECK_EQ(String("f 4"), "f4");
  CHECK_EQ(String("f+4"), "f4");
  CHECK_EQ(String("f04"), "f4");
  CHECK_EQ(String("S-0"), "S0");
  CHECK_EQ(String("M 8"), "M8");
  for (const char* text :
       {"f4 ", "f-4", "f 4 ", "f3", "b2", "i16", "?1", "x4", "M4", "c1", "<", "|", "", "<<f4",
        "f4x", "S2147483648", "U536870912", "S99999999999999999999"}) {
    CHECK_THROWS(String(text), FormatError, "");
  }
}

TEST(DtypeString, ReadsUnitsOfTime) {
  CHECK_EQ(String("<M8"), "M8");
  CHECK_EQ(String("<M8[ns]"), "M8[ns]");
  CHECK_EQ(String("m8[25s]"), "m8[25s]");
  CHECK_EQ(String("M8[1D]"), "M8[D]");
  CHECK_EQ(String("M8[generic]"), "M8");
  CHECK_EQ(String("M8[us/1000]"), "M8[ns]");
  CHECK_EQ(String("M8[5h/2]"), "M8[150m]");
  CHECK_EQ(String("M8[\xCE\xBCs]"), "M8[us]");
  CHECK_EQ(String("datetime64[Y]"), "M8[Y]");
  CHECK_EQ(String("timedelta64"), "m8");
  for (const char* text :
       {"M8[]", "M8[s", "M8s", "M8[s]x", "M8[x]", "M8[-5s]", "M8[5 s]", "M8[s/]", "M8[s/1 ]",
        "M8[s/7]", "M8[as/10]", "M8[generic/2]", "M8[2147483648s]", "datetime"}) {
    CHECK_THROWS(String(text), FormatError, "");
  }
}

TEST(DtypeString, RefusesDivisorsThatBreakNumPy) {
  for (const char* text :
       {"M8[s/0]", "M8[s/-10]", "M8[W/11]", "M8[s/4294967296]", "M8[2147483647Y/4]"}) {
    CHECK_THROWS(String(text), FormatError, "M8[");
  }
}

TEST(DtypeString, ReadsRepeats) {
  const Dtype array = ParseDtypeString("(2,3)<f4");
  CHECK(array.is_subarray());
  CHECK_EQ(array.itemsize, 24);
  CHECK(array.subarray_shape == std::vector<int64_t>({2, 3}));
  CHECK_EQ(Text(*array.base), "f4");
  CHECK_EQ(ParseDtypeString("3f4").itemsize, 12);
  CHECK(ParseDtypeString("2,3f4").subarray_shape == std::vector<int64_t>({2, 3}));
  CHECK_EQ(String("()f4"), "f4");
  CHECK_EQ(String("3S"), "S3");
  CHECK_THROWS(String("(2)f4"), FormatError, "(2)f4");
  CHECK_THROWS(String("02f4"), FormatError, "leading zeros");
  CHECK_THROWS(String("<2>f4"), FormatError, "<2>f4");
}

TEST(DtypeString, ReadsLists) {
  const Dtype list = ParseDtypeString("f4, (2,)i2 ,M8[s]");
  CHECK_EQ(list.fields.size(), 3u);
  CHECK_EQ(list.itemsize, 16);
  CHECK_EQ(list.fields[1].name, "f1");
  CHECK_EQ(list.fields[1].offset, 4);
  CHECK(list.fields[1].dtype.is_subarray());
  CHECK_EQ(ParseDtypeString("f4,").fields.size(), 1u);
  CHECK_EQ(ParseDtypeString("f4,<").fields.size(), 1u);
  CHECK_EQ(ParseDtypeString("f4\xC2\xA0,\u2003\ti4\n").fields.size(), 2u);
  for (const char* text : {",f4", "f4,,i4", "f4;i4", "2", "(2,3)", "V2147483647,V1"}) {
    CHECK_THROWS(String(text), FormatError, "");
  }
}

// --- The dtype in the header.

TEST(Descr, ReadsFields) {
  const Dtype dtype = Descr("[('x', '<f4'), ('y', '>i2', (2, 3)), ('n', [('a', '|S3')])]");
  CHECK(dtype.is_structured());
  CHECK_EQ(dtype.itemsize, 19);
  CHECK_EQ(dtype.fields[1].offset, 4);
  CHECK_EQ(dtype.fields[1].dtype.itemsize, 12);
  CHECK_EQ(dtype.fields[2].offset, 16);
  CHECK_EQ(dtype.fields[2].dtype.fields[0].name, "a");
}

TEST(Descr, ReadsTitles) {
  const Dtype dtype = Descr("[(('Title', 'x'), '<f4'), ((None, 'y'), '<f4')]");
  CHECK_EQ(dtype.fields[0].title, "Title");
  CHECK_EQ(dtype.fields[0].name, "x");
  CHECK_EQ(dtype.fields[1].title, "");
}

TEST(Descr, LeavesPaddingOut) {
  const Dtype dtype = Descr("[('a', 'b'), ('', '|V3'), ('b', '<i4'), ('', '|V4')]");
  CHECK_EQ(dtype.fields.size(), 2u);
  CHECK_EQ(dtype.fields[1].offset, 4);
  CHECK_EQ(dtype.itemsize, 12);
  // A nameless field of another kind is no padding.
  CHECK_EQ(Descr("[('', '<f4')]").fields.size(), 1u);
  CHECK(Descr("[('', 'V8')]").is_structured());
  CHECK_EQ(Descr("[('', 'V8')]").itemsize, 8);
  CHECK(Descr("[]").is_structured());
}

TEST(Descr, ReadsSubarraysOfSubarrays) {
  const Dtype dtype = Descr("[('x', (('<f4', (2,)), 3))]").fields[0].dtype;
  CHECK_EQ(dtype.itemsize, 24);
  CHECK(dtype.base->is_subarray());
  CHECK_EQ(Descr("[('x', 'S', 5)]").fields[0].dtype.itemsize, 5);
  CHECK(!Descr("[('x', '<f4', ())]").fields[0].dtype.is_subarray());
}

TEST(Descr, RefusesASubarrayAsAWhole) {
  CHECK_THROWS(Descr("('<f4', (2,))"), FormatError, "sub-array");
  CHECK_THROWS(Descr("'2f4'"), FormatError, "sub-array");
}

TEST(Descr, RefusesRepeatedNames) {
  CHECK_THROWS(Descr("[('a', 'b'), ('a', 'b')]"), FormatError, "'a' occurs twice");
  CHECK_THROWS(Descr("[(('a', 'x'), 'b'), ('a', 'b')]"), FormatError, "'a' occurs twice");
  CHECK_THROWS(Descr("[(('a', 'a'), 'b')]"), FormatError, "'a' occurs twice");
}

TEST(Descr, RefusesMalformedFields) {
  for (const char* descr :
       {"[()]", "[('a',)]", "[('a', 'b', (1,), 2)]", "['ab']", "[1]", "[(1, 'b')]", "[(b'a', 'b')]",
        "[(('t',), 'b')]", "[((1, 'a'), 'b')]", "[(None, 'b')]", "[('a', None)]", "[('a', 1)]"}) {
    CHECK_THROWS(Descr(descr), FormatError, "");
  }
  for (const char* descr :
       {"None", "1", "()", "('<f4',)", "{'a': 'b'}", "b'<f4'", "('<f4', '<i4')"}) {
    CHECK_THROWS(Descr(descr), FormatError, "");
  }
}

TEST(Descr, RefusesImpossibleSubarrays) {
  for (const char* shape :
       {"-1", "(-1,)", "2147483648", "(2147483647, 2)", "(0, 2147483648)", "True", "(True,)", "2.0",
        "None", "((2,),)", "(2147483647, 2147483647, 2147483647, 0)"}) {
    CHECK_THROWS(Descr("[('a', '<f4', " + std::string(shape) + ")]"), FormatError, "");
  }
  CHECK_THROWS(Descr("[('a', 'V2147483647'), ('b', 'b')]"), FormatError, "2 GiB");
}

TEST(Descr, ReportsObjects) {
  CHECK(Descr("'|O'").has_objects());
  CHECK(Descr("'T'").has_objects());
  CHECK(Descr("[('a', '<f4'), ('b', [('c', '|O', (2,))])]").has_objects());
  CHECK(!Descr("[('a', '<f4')]").has_objects());
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
