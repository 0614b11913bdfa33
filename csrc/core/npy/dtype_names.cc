#include "core/npy/dtype_names.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "core/base/errors.h"

namespace npyfast {
namespace {

// strtol() with base 10, which is how NumPy reads sizes: white space and a sign may go before the
// digits. Moves `position` behind the number; none is 0, and a large one saturates beyond
// kMaxDtypeInt.
int64_t ReadInt(std::string_view text, size_t* position) {
  size_t i = *position;
  while (i < text.size() && IsSpace(text[i])) ++i;
  bool negative = false;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) negative = text[i++] == '-';
  if (i >= text.size() || !IsDigit(text[i])) return 0;
  int64_t value = 0;
  for (; i < text.size() && IsDigit(text[i]); ++i) {
    if (value <= kMaxDtypeInt) value = value * 10 + (text[i] - '0');
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
  if (count < 0 || count > kMaxDtypeInt) return std::nullopt;
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
    if (divisor < 1 || divisor > kMaxDtypeInt) return std::nullopt;
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
      if (count > kMaxDtypeInt) return std::nullopt;
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
  if (rest.size() < 3 || rest[0] != '[' || rest.find(']') != rest.size() - 1) FailDtypeString(text);
  const std::optional<std::string> unit = ParseUnit(rest.substr(1, rest.size() - 2));
  if (!unit) FailDtypeString(text);
  dtype.unit = *unit;
  return dtype;
}

}  // namespace

void FailDtypeString(std::string_view text) {
  throw FormatError("NumPy knows no dtype '" + std::string(text) + "'");
}

std::optional<Dtype> DtypeOf(char kind, int64_t size, bool swapped) {
  switch (kind) {
    case 'S':
    case 'a':
      return Simple('S', size, swapped);
    case 'V':
      return Simple('V', size, swapped);
    case 'U':
      if (size > kMaxDtypeInt / 4) return std::nullopt;
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

Dtype ParseDtypeName(std::string_view text) {
  std::string_view code = text;
  bool swapped = false;
  if (IsByteOrder(code[0])) {
    swapped = IsSwapped(code[0]);
    code.remove_prefix(1);
    if (code.empty()) FailDtypeString(text);
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
    if (position == code.size() && size >= 0 && size <= kMaxDtypeInt) {
      if ((code[0] == 'M' || code[0] == 'm') && size == 8) {
        // "M 8", "M08": a generic date, whose usual spelling ParseTime has read.
        Dtype dtype = Simple(code[0], 8, false);
        dtype.swapped = swapped;
        return dtype;
      }
      if (std::optional<Dtype> dtype = DtypeOf(code[0], size, swapped)) return *dtype;
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
  FailDtypeString(text);
}

}  // namespace npyfast
