#include "core/npy/dtype_parser.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/errors.h"

namespace npyfast {
namespace {

using Kind = Literal::Kind;

constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();

[[noreturn]] void FailString(std::string_view text) {
  throw FormatError("NumPy knows no dtype '" + std::string(text) + "'");
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// isspace() of the C locale, which a program may have left.
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsByteOrder(char c) { return c == '<' || c == '>' || c == '=' || c == '|'; }

bool IsSwapped(char order) {
  return order == (std::endian::native == std::endian::little ? '>' : '<');
}

// strtol() with base 10, which is how NumPy reads sizes: white space and a sign may go before the
// digits. Moves `position` behind the number; none is 0, and a large one saturates beyond kMaxInt.
int64_t ReadInt(std::string_view text, size_t* position) {
  size_t i = *position;
  while (i < text.size() && IsSpace(text[i])) ++i;
  bool negative = false;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) negative = text[i++] == '-';
  if (i >= text.size() || !IsDigit(text[i])) return 0;
  int64_t value = 0;
  for (; i < text.size() && IsDigit(text[i]); ++i) {
    if (value <= kMaxInt) value = value * 10 + (text[i] - '0');
  }
  *position = i;
  return negative ? -value : value;
}

Dtype Simple(char kind, int64_t itemsize, bool swapped) {
  const bool has_order =
      kind == 'U' || ((kind == 'i' || kind == 'u' || kind == 'f' || kind == 'c') && itemsize > 1);
  Dtype dtype;
  dtype.kind = kind;
  dtype.itemsize = itemsize;
  dtype.swapped = swapped && has_order;
  return dtype;
}

struct Name {
  std::string_view name;
  char kind;
  int64_t itemsize;
};

constexpr int64_t kLong = sizeof(long);
constexpr int64_t kPointer = sizeof(void*);
constexpr int64_t kLongDouble = sizeof(long double);

// NumPy's typecodes of one letter; 'c' is an old 'S1'.
constexpr Name kLetters[] = {
    {"?", 'b', 1},           {"b", 'i', 1},
    {"B", 'u', 1},           {"h", 'i', 2},
    {"H", 'u', 2},           {"i", 'i', 4},
    {"I", 'u', 4},           {"l", 'i', kLong},
    {"L", 'u', kLong},       {"q", 'i', 8},
    {"Q", 'u', 8},           {"n", 'i', kPointer},
    {"N", 'u', kPointer},    {"p", 'i', kPointer},
    {"P", 'u', kPointer},    {"e", 'f', 2},
    {"f", 'f', 4},           {"d", 'f', 8},
    {"g", 'f', kLongDouble}, {"F", 'c', 8},
    {"D", 'c', 16},          {"G", 'c', 2 * kLongDouble},
    {"O", 'O', kPointer},    {"T", 'T', 16},
    {"S", 'S', 0},           {"U", 'U', 0},
    {"V", 'V', 0},           {"c", 'S', 1},
};

// NumPy also takes the number of a type, as a character, for its letter: "\x0c" is "d".
constexpr std::string_view kTypeNumbers = "?bBhHiIlLqQfdgFDGOSUVMme";

// NumPy's names, which take no byte order.
constexpr Name kNames[] = {
    {"bool", 'b', 1},
    {"bool_", 'b', 1},
    {"byte", 'i', 1},
    {"ubyte", 'u', 1},
    {"short", 'i', 2},
    {"ushort", 'u', 2},
    {"intc", 'i', 4},
    {"uintc", 'u', 4},
    {"int", 'i', kPointer},
    {"int_", 'i', kPointer},
    {"uint", 'u', kPointer},
    {"intp", 'i', kPointer},
    {"uintp", 'u', kPointer},
    {"long", 'i', kLong},
    {"ulong", 'u', kLong},
    {"longlong", 'i', 8},
    {"ulonglong", 'u', 8},
    {"int8", 'i', 1},
    {"int16", 'i', 2},
    {"int32", 'i', 4},
    {"int64", 'i', 8},
    {"uint8", 'u', 1},
    {"uint16", 'u', 2},
    {"uint32", 'u', 4},
    {"uint64", 'u', 8},
    {"half", 'f', 2},
    {"single", 'f', 4},
    {"double", 'f', 8},
    {"float", 'f', 8},
    {"longdouble", 'f', kLongDouble},
    {"float16", 'f', 2},
    {"float32", 'f', 4},
    {"float64", 'f', 8},
    {"csingle", 'c', 8},
    {"cdouble", 'c', 16},
    {"complex", 'c', 16},
    {"clongdouble", 'c', 2 * kLongDouble},
    {"complex64", 'c', 8},
    {"complex128", 'c', 16},
    {"object", 'O', kPointer},
    {"object_", 'O', kPointer},
    {"a", 'S', 0},
    {"bytes", 'S', 0},
    {"bytes_", 'S', 0},
    {"str", 'U', 0},
    {"str_", 'U', 0},
    {"unicode", 'U', 0},
    {"void", 'V', 0},
};

const Name* Find(const Name* first, const Name* last, std::string_view name) {
  for (; first != last; ++first) {
    if (first->name == name) return first;
  }
  return nullptr;
}

// A kind and a size, as in "f8". NumPy knows no others.
std::optional<Dtype> KindAndSize(char kind, int64_t size, bool swapped) {
  switch (kind) {
    case 'S':
    case 'a':
      return Simple('S', size, swapped);
    case 'V':
      return Simple('V', size, swapped);
    case 'U':
      if (size > kMaxInt / 4) return std::nullopt;
      return Simple('U', size * 4, swapped);
    case 'b':
      if (size != 1) return std::nullopt;
      return Simple('b', size, swapped);
    case 'i':
    case 'u':
      if (size != 1 && size != 2 && size != 4 && size != 8) return std::nullopt;
      return Simple(kind, size, swapped);
    case 'f':
      if (size != 2 && size != 4 && size != 8 && size != kLongDouble) return std::nullopt;
      return Simple(kind, size, swapped);
    case 'c':
      if (size != 8 && size != 16 && size != 2 * kLongDouble) return std::nullopt;
      return Simple(kind, size, swapped);
    case 'O':
      if (size != 4 && size != 8) return std::nullopt;
      return Simple(kind, kPointer, swapped);
    default:
      return std::nullopt;
  }
}

// The units of time, from long to short: what a divisor of one may turn it into, and how many of
// those it is.
struct Unit {
  std::string_view name;
  struct Part {
    int64_t count;
    std::string_view unit;
  } parts[3];
};

constexpr Unit kUnits[] = {
    {"Y", {{12, "M"}, {52, "W"}, {365, "D"}}},
    {"M", {{4, "W"}, {30, "D"}, {720, "h"}}},
    {"W", {{7, "D"}, {168, "h"}, {10080, "m"}}},
    {"D", {{24, "h"}, {1440, "m"}, {86400, "s"}}},
    {"h", {{60, "m"}, {3600, "s"}, {}}},
    {"m", {{60, "s"}, {60000, "ms"}, {}}},
    {"s", {{1000, "ms"}, {1000000, "us"}, {}}},
    {"ms", {{1000, "us"}, {1000000, "ns"}, {}}},
    {"us", {{1000, "ns"}, {1000000, "ps"}, {}}},
    {"ns", {{1000, "ps"}, {1000000, "fs"}, {}}},
    {"ps", {{1000, "fs"}, {1000000, "as"}, {}}},
    {"fs", {{1000, "as"}, {}, {}}},
    {"as", {}},
};

// Of "25s" or "us/1000", what stands between the brackets of a date's dtype; as NumPy would write
// it.
std::optional<std::string> ParseUnit(std::string_view text) {
  size_t position = 0;
  int64_t count = ReadInt(text, &position);
  if (count < 0 || count > kMaxInt) return std::nullopt;
  if (position == 0) count = 1;

  const size_t slash = std::min(text.find('/', position), text.size());
  std::string_view name = text.substr(position, slash - position);
  if (name == "\xce\xbcs") name = "us";  // a Greek mu
  int64_t divisor = 1;
  if (slash < text.size()) {
    const size_t start = slash + 1;
    position = start;
    divisor = ReadInt(text, &position);
    if (position == start || position != text.size()) return std::nullopt;
    // On these NumPy overflows, divides by zero or counts backwards.
    if (divisor < 1 || divisor > kMaxInt) return std::nullopt;
  }
  if (name == "generic") {
    if (divisor != 1) return std::nullopt;
    return count == 1 ? "" : std::to_string(count) + "generic";
  }
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    if (divisor != 1) {
      const Unit::Part* part = nullptr;
      for (const Unit::Part& candidate : unit.parts) {
        if (part == nullptr && candidate.count > 0 && candidate.count % divisor == 0) {
          part = &candidate;
        }
      }
      if (part == nullptr) return std::nullopt;
      count *= part->count / divisor;
      if (count > kMaxInt) return std::nullopt;
      name = part->unit;
    }
    return (count == 1 ? "" : std::to_string(count)) + std::string(name);
  }
  return std::nullopt;
}

// A date or a time span, if `text` (without its byte order) names one in any of NumPy's ways.
std::optional<Dtype> ParseTime(std::string_view text, bool swapped) {
  std::string_view rest;
  if (text.starts_with("M8") || text.starts_with("m8")) {
    rest = text.substr(2);
  } else if (text.starts_with("datetime64")) {
    rest = text.substr(10);
  } else if (text.starts_with("timedelta64")) {
    rest = text.substr(11);
  } else {
    return std::nullopt;
  }
  Dtype dtype;
  dtype.kind = text[0] == 'M' || text[0] == 'd' ? 'M' : 'm';
  dtype.itemsize = 8;
  dtype.swapped = swapped;
  if (rest.empty()) return dtype;
  if (rest.size() < 3 || rest[0] != '[' || rest.find(']') != rest.size() - 1) FailString(text);
  const std::optional<std::string> unit = ParseUnit(rest.substr(1, rest.size() - 2));
  if (!unit) FailString(text);
  dtype.unit = *unit;
  return dtype;
}

Dtype ParseSimple(std::string_view text) {
  std::string_view code = text;
  bool swapped = false;
  if (IsByteOrder(code[0])) {
    swapped = IsSwapped(code[0]);
    code.remove_prefix(1);
    if (code.empty()) FailString(text);
  }
  if (std::optional<Dtype> time = ParseTime(code, swapped)) return *time;
  if (code.size() == 1) {
    const auto number = static_cast<unsigned char>(code[0]);
    if (number < kTypeNumbers.size()) code = kTypeNumbers.substr(number, 1);
    if (code == "M" || code == "m") {
      Dtype dtype = Simple(code[0], 8, false);
      dtype.swapped = swapped;
      return dtype;
    }
    const Name* letter = Find(std::begin(kLetters), std::end(kLetters), code);
    if (letter != nullptr) return Simple(letter->kind, letter->itemsize, swapped);
  } else {
    size_t position = 1;
    const int64_t size = ReadInt(code, &position);
    if (position == code.size() && size >= 0 && size <= kMaxInt) {
      if ((code[0] == 'M' || code[0] == 'm') && size == 8) {
        // "M 8", "M08": a generic date, whose usual spelling ParseTime has read.
        Dtype dtype = Simple(code[0], 8, false);
        dtype.swapped = swapped;
        return dtype;
      }
      if (std::optional<Dtype> dtype = KindAndSize(code[0], size, swapped)) return *dtype;
    }
  }
  const Name* name = Find(std::begin(kNames), std::end(kNames), text);
  if (name != nullptr) return Simple(name->kind, name->itemsize, false);
  // These exist where a long double has their size: NumPy names them after the bits.
  if ((text == "float128" && kLongDouble == 16) || (text == "float96" && kLongDouble == 12)) {
    return Simple('f', kLongDouble, false);
  }
  if ((text == "complex256" && kLongDouble == 16) || (text == "complex192" && kLongDouble == 12)) {
    return Simple('c', 2 * kLongDouble, false);
  }
  FailString(text);
}

// numpy.dtype((base, shape)).
Dtype WithShape(Dtype base, const Literal& shape) {
  const bool whole = shape.is(Kind::kInt) && shape.fits;
  if (base.itemsize == 0 && !base.is_structured()) {
    // A string or void of no size yet: ('S', 5) is 'S5'. NumPy takes no shape for it.
    if (!whole || base.is_subarray() || shape.integer < 0) {
      throw FormatError("a dtype of no size takes no shape");
    }
    const std::optional<Dtype> sized = KindAndSize(base.kind, shape.integer, base.swapped);
    if (!sized || sized->itemsize > kMaxInt) throw FormatError("a string of 2 GiB or more");
    return *sized;
  }
  if (whole) return SubarrayOf(std::move(base), {shape.integer});
  const bool sequence = shape.is(Kind::kTuple) || (shape.is(Kind::kList) && !shape.items.empty());
  if (!sequence) throw FormatError("the shape of a sub-array in the dtype is no tuple of ints");
  if (shape.items.empty()) return base;
  std::vector<int64_t> sizes;
  for (const Literal& item : shape.items) {
    if (!item.is(Kind::kInt) || !item.fits) {
      throw FormatError("the shape of a sub-array in the dtype is no tuple of ints");
    }
    sizes.push_back(item.integer);
  }
  return SubarrayOf(std::move(base), std::move(sizes));
}

// Strings such as "3f4", "(2,3)f4" and "f4, i4" have a grammar of their own.
bool IsCommaString(std::string_view text) {
  const std::string_view rest = text.size() > 1 && IsByteOrder(text[0]) ? text.substr(1) : text;
  if (IsDigit(rest[0]) || rest.starts_with("()")) return true;
  int brackets = 0;
  for (const char c : text) {
    if (c == '[') ++brackets;
    if (c == ']') --brackets;
    if (c == ',' && brackets == 0) return true;
  }
  return false;
}

// What Python takes for white space beyond ASCII.
constexpr std::string_view kWideBlanks[] = {"\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001",
                                            "\u2002",   "\u2003", "\u2004", "\u2005", "\u2006",
                                            "\u2007",   "\u2008", "\u2009", "\u200a", "\u2028",
                                            "\u2029",   "\u202f", "\u205f", "\u3000"};

// Reads text[position ...] by the pattern with which NumPy's _internal._commastring takes one
// format at a time.
class CommaString {
 public:
  explicit CommaString(std::string_view text) : text_(text) {}

  Dtype Parse() {
    std::vector<Field> fields;
    int64_t offset = 0;
    bool list = false;
    while (position_ < text_.size()) {
      Field field;
      field.name = "f" + std::to_string(fields.size());
      field.offset = offset;
      std::optional<Dtype> dtype = ParseFormat();
      if (!dtype) {
        if (fields.empty() || position_ < text_.size()) FailString(text_);
        break;
      }
      field.dtype = std::move(*dtype);
      // Both are at most kMaxInt, so the sum of all is no overflow before StructOf refuses it.
      offset += field.dtype.itemsize;
      fields.push_back(std::move(field));
      SkipBlank();
      if (position_ == text_.size()) break;
      if (text_[position_] != ',') FailString(text_);
      ++position_;
      SkipBlank();
      list = true;
    }
    if (!list) return fields[0].dtype;
    return StructOf(std::move(fields), offset);
  }

 private:
  template <typename Predicate>
  std::string_view TakeWhile(Predicate predicate) {
    const size_t start = position_;
    while (position_ < text_.size() && predicate(text_[position_])) ++position_;
    return text_.substr(start, position_ - start);
  }
  bool TakeIf(bool (*predicate)(char)) {
    if (position_ >= text_.size() || !predicate(text_[position_])) return false;
    ++position_;
    return true;
  }

  void SkipBlank() {
    for (;;) {
      TakeWhile([](char c) { return IsSpace(c) || (c >= '\x1c' && c <= '\x1f'); });
      const std::string_view rest = text_.substr(position_);
      const auto blank = std::find_if(std::begin(kWideBlanks), std::end(kWideBlanks),
                                      [&](std::string_view b) { return rest.starts_with(b); });
      if (blank == std::end(kWideBlanks)) return;
      position_ += blank->size();
    }
  }

  char TakeOrder() { return TakeIf(IsByteOrder) ? text_[position_ - 1] : '\0'; }

  // Nothing for an empty format, which NumPy lets pass as the last one: "f4,<".
  std::optional<Dtype> ParseFormat() {
    const auto is_blank = [](char c) { return c == ' '; };
    const char before = TakeOrder();
    const size_t start = position_;
    TakeWhile(is_blank);
    TakeIf([](char c) { return c == '('; });
    TakeWhile([](char c) { return c == ' ' || c == ',' || IsDigit(c); });
    TakeIf([](char c) { return c == ')'; });
    TakeWhile(is_blank);
    const std::string_view repeats = text_.substr(start, position_ - start);
    const char after = TakeOrder();
    const size_t name = position_;
    const auto is_alnum = [](char c) {
      return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    TakeWhile([&](char c) { return is_alnum(c) || c == '.' || c == '?'; });
    const size_t bracket = position_;
    if (TakeIf([](char c) { return c == '['; })) {
      const bool any =
          !TakeWhile([&](char c) { return is_alnum(c) || c == ',' || c == '.'; }).empty();
      if (!any || !TakeIf([](char c) { return c == ']'; })) position_ = bracket;
    }

    const auto native = [](char order) {
      return order != '=' ? order : std::endian::native == std::endian::little ? '<' : '>';
    };
    if (before != '\0' && after != '\0' && native(before) != native(after)) FailString(text_);
    const char order = native(after != '\0' ? after : before);
    std::string type(text_.substr(name, position_ - name));
    if (order != '\0' && IsSwapped(order)) type.insert(0, 1, order);
    if (type.empty() && repeats.empty()) return std::nullopt;
    Dtype dtype = ParseDtypeString(type);
    if (repeats.empty()) return dtype;
    return WithShape(std::move(dtype), ParseLiteral(repeats, /*python2=*/false));
  }

  const std::string_view text_;
  size_t position_ = 0;
};

Field ParseField(const Literal& literal) {
  const std::vector<Literal>& parts = literal.items;
  if (!(literal.is(Kind::kTuple) || literal.is(Kind::kList)) || parts.size() < 2 ||
      parts.size() > 3) {
    throw FormatError("a field of the dtype is no tuple (name, descr) or (name, descr, shape)");
  }
  Field field;
  field.dtype = ParseDescr(parts[1]);
  if (parts.size() == 3) field.dtype = WithShape(std::move(field.dtype), parts[2]);

  const Literal* name = &parts[0];
  if (name->is(Kind::kTuple)) {
    if (name->items.size() != 2 ||
        !(name->items[0].is(Kind::kString) || name->items[0].is(Kind::kNone))) {
      throw FormatError("the name of a field of the dtype is no string and no (title, name)");
    }
    field.title = name->items[0].text;
    name = &name->items[1];
  }
  if (!name->is(Kind::kString)) {
    throw FormatError("the name of a field of the dtype is no string and no (title, name)");
  }
  field.name = name->text;
  return field;
}

}  // namespace

Dtype ParseDtypeString(std::string_view text) {
  if (text.empty()) FailString(text);
  if (IsCommaString(text)) return CommaString(text).Parse();
  return ParseSimple(text);
}

Dtype ParseDescr(const Literal& descr) {
  if (descr.is(Kind::kString)) return ParseDtypeString(descr.text);
  if (descr.is(Kind::kTuple)) {
    // NumPy looks at no third item.
    if (descr.items.size() < 2) throw FormatError("'descr' is a tuple without a shape");
    return WithShape(ParseDescr(descr.items[0]), descr.items[1]);
  }
  if (!descr.is(Kind::kList)) throw FormatError("'descr' is no string, no tuple and no list");

  std::vector<Field> fields;
  int64_t offset = 0;
  for (const Literal& item : descr.items) {
    Field field = ParseField(item);
    field.offset = offset;
    offset += field.dtype.itemsize;
    // How NumPy writes the gaps of an aligned dtype: they take space and can't be reached.
    const bool nameless = field.name.empty() && item.items[0].is(Kind::kString);
    const bool padding = nameless && field.dtype.kind == 'V' && !field.dtype.is_structured();
    if (!padding) fields.push_back(std::move(field));
  }
  return StructOf(std::move(fields), offset);
}

}  // namespace npyfast
