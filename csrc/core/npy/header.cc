#include "core/npy/header.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/errors.h"
#include "core/base/utf8.h"
#include "core/npy/dtype_parser.h"
#include "core/npy/literal.h"
#include "core/npy/shape.h"

// Where this differs from numpy.lib.format (NumPy 2.4), always in headers that no NumPy has
// written:
//
// Refused, because numpy.load fails on it later:
// - a dimension that is negative or True, more than 64 dimensions, more bytes than can be counted;
// - a sub-array as the whole dtype, which numpy.load takes only if it maps the file.
//
// Refused, because NumPy lets it pass by accident:
// - a dtype or bytes where a sub-array's shape belongs: ('<f4', '<i4');
// - fields as strings or dictionaries: ['ab'];
// - titles that are no text;
// - names that other packages have registered: 'bfloat16';
// - divisors of a unit of time that are zero (which ends the process) or negative, that overflow,
//   or that divide no part of a week (which makes it zero years);
// - sizes of fields that overflow a C int together: 'V2147483647,V1'.
//
// Refused, because no field's name needs it: escapes of lone surrogates, or by a character's name.
//
// Read, although NumPy refuses it: blanks on an unfinished last line, which NumPy reads in most
// files of versions 1.0 and 2.0; 'a' for 'S', which NumPy dropped in 2.5.
//
// Read otherwise: an empty title is no title.
namespace npyfast {
namespace {

using Kind = Literal::Kind;

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersionEnd = kMagic.size() + 2;

// Version 1.0 has two bytes for the header's length, the later ones four.
size_t LengthBytes(int major) { return major == 1 ? 2 : 4; }

// Names what a file that is no .npy most likely is.
std::string_view Guess(std::string_view prefix) {
  using namespace std::string_view_literals;
  if (prefix.empty()) return "it is empty";
  if (prefix.starts_with("PK\x03\x04"sv) || prefix.starts_with("PK\x05\x06"sv)) {
    return "it is a zip archive, such as a .npz";
  }
  if (prefix.starts_with("\x89HDF\r\n"sv)) return "it is HDF5";
  if (prefix.starts_with("\x80"sv)) return "it looks like a pickle";
  if (prefix.size() < kMagic.size() && kMagic.starts_with(prefix)) {
    return "the file ends within its first bytes";
  }
  return "it does not begin with \\x93NUMPY";
}

std::vector<int64_t> ParseShape(const Literal& literal) {
  if (!literal.is(Kind::kTuple)) throw FormatError("'shape' is no tuple");
  if (literal.items.size() > kMaxDimensions) {
    throw FormatError("the shape has " + std::to_string(literal.items.size()) +
                      " dimensions, more than the 64 that NumPy has");
  }
  std::vector<int64_t> shape;
  for (const Literal& item : literal.items) {
    if (!item.is(Kind::kInt)) throw FormatError("an entry of 'shape' is no int");
    if (item.integer < 0) throw FormatError("an entry of 'shape' is negative");
    if (!item.fits) throw FormatError("an entry of 'shape' is larger than any array");
    shape.push_back(item.integer);
  }
  return shape;
}

// NumPy's rule: a zero makes an array empty, but doesn't excuse dimensions which without it would
// be too many bytes.
void CheckSize(std::vector<int64_t> shape, int64_t itemsize) {
  std::ranges::replace(shape, 0, 1);
  if (ElementCount(shape) && ElementCount(shape, itemsize)) return;
  throw FormatError("the shape is larger than any array: it takes more than 2**63 bytes");
}

// UTF-8 of what versions 1.0 and 2.0 hold.
std::string DecodeLatin1(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (const char c : bytes) AppendUtf8(static_cast<unsigned char>(c), &text);
  return text;
}

}  // namespace

int64_t Header::elements() const { return *ElementCount(shape); }

int64_t HeaderBytes(std::string_view prefix) {
  if (!prefix.starts_with(kMagic)) throw FormatError(std::string(Guess(prefix)));
  if (prefix.size() < kVersionEnd) throw FormatError("the file ends within its first bytes");
  const int major = static_cast<unsigned char>(prefix[kMagic.size()]);
  const int minor = static_cast<unsigned char>(prefix[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    throw FormatError("unknown .npy version " + std::to_string(major) + "." +
                      std::to_string(minor) + ": 1.0, 2.0 and 3.0 are known");
  }
  const size_t length_end = kVersionEnd + LengthBytes(major);
  if (prefix.size() < length_end) throw FormatError("the file ends within its first bytes");
  int64_t length = 0;
  for (size_t i = length_end; i-- > kVersionEnd;) {
    length = length * 256 + static_cast<unsigned char>(prefix[i]);
  }
  // A character of version 3.0 takes up to four bytes; ParseHeader counts characters.
  const int64_t cap = major == 3 ? 4 * kMaxHeaderCharacters : kMaxHeaderCharacters;
  if (length > cap) {
    throw FormatError(
        "the header takes " + std::to_string(length) +
        " bytes; more than 10,000 characters are refused, as NumPy does, because no real "
        "header needs them and a made-up one could be slow to read");
  }
  return static_cast<int64_t>(length_end) + length;
}

Header ParseHeader(std::string_view bytes) {
  Header header;
  header.data_offset = HeaderBytes(bytes);
  header.major = static_cast<unsigned char>(bytes[kMagic.size()]);
  header.minor = static_cast<unsigned char>(bytes[kMagic.size() + 1]);
  if (static_cast<int64_t>(bytes.size()) < header.data_offset) {
    throw FormatError("the file ends within its header");
  }
  const size_t start = kVersionEnd + LengthBytes(header.major);
  std::string_view encoded = bytes.substr(start, static_cast<size_t>(header.data_offset) - start);
  std::string text;
  if (header.major == 3) {
    const int64_t characters = CountUtf8(encoded);
    if (characters < 0) throw FormatError("the header is not UTF-8");
    if (characters > kMaxHeaderCharacters) {
      throw FormatError("the header has " + std::to_string(characters) +
                        " characters; more than 10,000 are refused, as NumPy does");
    }
    text = encoded;
  } else {
    text = DecodeLatin1(encoded);
  }

  const Literal literal = ParseLiteral(text, /*python2=*/header.major < 3);
  if (!literal.is(Kind::kDict)) throw FormatError("the header is no dictionary");
  const Literal* descr = nullptr;
  const Literal* fortran_order = nullptr;
  const Literal* shape = nullptr;
  for (size_t i = 0; i < literal.items.size(); i += 2) {
    const Literal& key = literal.items[i];
    const Literal** value = !key.is(Kind::kString)        ? nullptr
                            : key.text == "descr"         ? &descr
                            : key.text == "fortran_order" ? &fortran_order
                            : key.text == "shape"         ? &shape
                                                          : nullptr;
    if (value == nullptr) {
      throw FormatError("the header has other keys than 'descr', 'fortran_order' and 'shape'");
    }
    // The last of equal keys counts, as in Python.
    *value = &literal.items[i + 1];
  }
  if (descr == nullptr) throw FormatError("the header has no 'descr'");
  if (fortran_order == nullptr) throw FormatError("the header has no 'fortran_order'");
  if (shape == nullptr) throw FormatError("the header has no 'shape'");

  header.shape = ParseShape(*shape);
  if (!fortran_order->is(Kind::kBool)) throw FormatError("'fortran_order' is no bool");
  header.fortran_order = fortran_order->integer != 0;
  header.dtype = ParseDescr(*descr);
  if (header.dtype.is_subarray()) {
    throw FormatError("'descr' is a sub-array; its dimensions belong into 'shape'");
  }
  CheckSize(header.shape, header.dtype.itemsize);
  return header;
}

}  // namespace npyfast
