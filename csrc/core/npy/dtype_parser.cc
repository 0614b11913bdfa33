#include "core/npy/dtype_parser.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "core/npy/dtype_names.h"

namespace npyfast {
namespace {

using Kind = Literal::Kind;

// numpy.dtype((base, shape)).
Dtype WithShape(Dtype base, const Literal& shape) {
  const bool whole = shape.is(Kind::kInt) && shape.fits;
  if (base.itemsize == 0 && !base.is_structured()) {
    // A string or void of no size yet: ('S', 5) is 'S5'. NumPy takes no shape for it.
    if (!whole || base.is_subarray() || shape.integer < 0) {
      throw FormatError("a dtype of no size takes no shape");
    }
    const std::optional<Dtype> sized = DtypeOf(base.kind, shape.integer, base.swapped);
    if (!sized || sized->itemsize > kMaxDtypeInt) throw FormatError("a string of 2 GiB or more");
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
        if (fields.empty() || position_ < text_.size()) FailDtypeString(text_);
        break;
      }
      field.dtype = std::move(*dtype);
      // Both are at most kMaxDtypeInt, so the sum of all is no overflow before StructOf refuses it.
      offset += field.dtype.itemsize;
      fields.push_back(std::move(field));
      SkipBlank();
      if (position_ == text_.size()) break;
      if (text_[position_] != ',') FailDtypeString(text_);
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
    if (before != '\0' && after != '\0' && native(before) != native(after)) FailDtypeString(text_);
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
  if (text.empty()) FailDtypeString(text);
  if (IsCommaString(text)) return CommaString(text).Parse();
  return ParseDtypeName(text);
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
