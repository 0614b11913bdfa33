#include "core/npy/literal.h"

#include <utility>

#include "core/base/errors.h"
#include "core/base/utf8.h"

namespace npyfast {
namespace {

using Kind = Literal::Kind;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// What may continue a name. Bytes of a non-ASCII character count: a name that has one is no literal
// anyway.
bool IsNameChar(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// The value of a digit in bases up to 16; 99 for any other character.
int DigitValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

bool IsHashable(const Literal& value) {
  if (value.is(Kind::kTuple)) {
    for (const Literal& item : value.items) {
      if (!IsHashable(item)) return false;
    }
    return true;
  }
  return !value.is(Kind::kList) && !value.is(Kind::kDict) && !value.is(Kind::kSet);
}

// Python reads every line end as "\n", inside strings too.
std::string UnifyLineEnds(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  return out;
}

class Parser {
 public:
  Parser(std::string_view source, bool python2) : text_(UnifyLineEnds(source)), python2_(python2) {}

  Literal Parse() {
    // CPython refuses a NUL wherever it stands, even in a comment.
    const size_t nul = text_.find('\0');
    if (nul != std::string::npos) Fail("a NUL byte", nul);
    SkipBlankLines();
    Literal value = ParseTop();
    SkipTrailer();
    return value;
  }

 private:
  // A value, and whether it was written as one constant: a sign goes before no other kind of
  // number.
  struct Operand {
    Literal value;
    bool constant = false;
  };

  [[noreturn]] void Fail(std::string_view what, size_t at) const {
    throw FormatError("the header is not a Python literal: " + std::string(what) +
                      " at character " + std::to_string(at));
  }
  [[noreturn]] void Fail(std::string_view what) const { Fail(what, position_); }

  bool AtEnd() const { return position_ >= text_.size(); }
  char Peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  bool Take(char c) {
    if (AtEnd() || Peek() != c) return false;
    ++position_;
    return true;
  }

  void SkipComment() {
    while (!AtEnd() && Peek() != '\n') ++position_;
  }

  // A backslash joins a line to the next one, which must exist.
  void SkipContinuation() {
    if (Peek(1) != '\n') Fail("a stray backslash");
    if (position_ + 2 >= text_.size()) Fail("nothing after a backslash");
    position_ += 2;
  }

  // White space between tokens. A line's end counts as such inside brackets only.
  void SkipSpace() {
    for (; !AtEnd(); ++position_) {
      const char c = Peek();
      if (c == '\\') {
        SkipContinuation();
        --position_;
      } else if (c == '#' && depth_ > 0) {
        SkipComment();
        --position_;
      } else if (!(c == ' ' || c == '\t' || c == '\f' || (c == '\n' && depth_ > 0))) {
        return;
      }
    }
  }

  // Blank lines and comments before the value. An indented first line is no error, because
  // ast.literal_eval strips that (and NumPy's filter for Python 2 a form feed too); an indented
  // later one is.
  void SkipBlankLines() {
    while (Peek() == ' ' || Peek() == '\t' || (python2_ && Peek() == '\f')) ++position_;
    for (;;) {
      const size_t indent = SkipIndent();
      if (Peek() == '#') SkipComment();
      if (Take('\n')) continue;
      if (indent > 0 && !AtEnd()) Fail("an indented line");
      return;
    }
  }

  // The columns that the white space here takes. A form feed starts the count anew.
  size_t SkipIndent() {
    size_t columns = 0;
    for (; Peek() == ' ' || Peek() == '\t' || Peek() == '\f'; ++position_) {
      columns = Peek() == '\f' ? 0 : columns + 1;
    }
    return columns;
  }

  void SkipTrailer() {
    SkipSpace();
    while (!AtEnd()) {
      if (Peek() == '#') {
        SkipComment();
      } else if (!Take('\n')) {
        Fail("something after the value");
      }
      SkipSpace();
    }
  }

  // A comma makes a tuple, here without parentheses.
  Literal ParseTop() {
    Literal first = ParseExpression();
    SkipSpace();
    if (Peek() != ',') return first;
    Literal tuple;
    tuple.kind = Kind::kTuple;
    tuple.items.push_back(std::move(first));
    while (Take(',')) {
      SkipSpace();
      if (AtEnd() || Peek() == '\n' || Peek() == '#') break;
      tuple.items.push_back(ParseExpression());
      SkipSpace();
    }
    return tuple;
  }

  Literal ParseExpression() { return ParseSum().value; }

  // ast.literal_eval's one binary operation: a real number plus or minus an imaginary one.
  Operand ParseSum() {
    Operand left = ParseSigned();
    SkipSpace();
    if (Peek() != '+' && Peek() != '-') return left;
    const size_t at = position_++;
    const Operand right = ParseSigned(/*sign_allowed=*/false);
    const bool real = left.value.is(Kind::kInt) || left.value.is(Kind::kFloat);
    if (!real || !right.constant || !right.value.is(Kind::kComplex)) Fail("arithmetic", at);
    SkipSpace();
    if (Peek() == '+' || Peek() == '-') Fail("arithmetic");
    Operand sum;
    sum.value.kind = Kind::kComplex;
    return sum;
  }

  Operand ParseSigned(bool sign_allowed = true) {
    SkipSpace();
    if (!sign_allowed || (Peek() != '+' && Peek() != '-')) return ParseAtom();
    const size_t at = position_;
    const bool negative = Peek() == '-';
    ++position_;
    SkipSpace();
    Operand operand = ParseAtom();
    const Kind kind = operand.value.kind;
    const bool number = kind == Kind::kInt || kind == Kind::kFloat || kind == Kind::kComplex;
    if (!operand.constant || !number) Fail("a sign before something that is no number", at);
    // No constant is negative, so this can't overflow; -2**63 alone counts as too large, which no
    // header needs.
    if (negative) operand.value.integer = -operand.value.integer;
    operand.constant = false;
    return operand;
  }

  Operand ParseAtom() {
    const char c = Peek();
    if (c == '(') return ParseParenthesis();
    Operand atom;
    atom.constant = true;
    if (c == '[') {
      atom.value.kind = Kind::kList;
      ParseItems(']', &atom.value.items);
    } else if (c == '{') {
      atom.value = ParseBraces();
    } else if (c == '\'' || c == '"') {
      atom.value = ParseStrings();
    } else if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) {
      atom.value = ParseNumber();
    } else if (c == '.' && Peek(1) == '.' && Peek(2) == '.') {
      position_ += 3;
      atom.value.kind = Kind::kEllipsis;
    } else if (IsNameChar(c)) {
      atom.value = ParseNameOrPrefixedString();
    } else {
      Fail(AtEnd() ? "an unexpected end" : "an unexpected character");
    }
    return atom;
  }

  void Open() {
    if (++depth_ > kMaxNesting) Fail("more than 200 nested brackets");
    ++position_;
    SkipSpace();
  }

  // Consumes the closing bracket. The white space after it follows the rules of outside.
  bool Close(char bracket) {
    if (!Take(bracket)) return false;
    --depth_;
    return true;
  }

  // The items of a list, a set or a tuple, from the opening bracket to the closing one; true if
  // there was a comma.
  bool ParseItems(char closing, std::vector<Literal>* items, Operand* last = nullptr) {
    Open();
    bool comma = false;
    while (!Close(closing)) {
      Operand item = ParseSum();
      if (last != nullptr) last->constant = item.constant;
      items->push_back(std::move(item.value));
      SkipSpace();
      if (Take(',')) {
        comma = true;
        SkipSpace();
      } else if (Peek() != closing || AtEnd()) {
        Fail(AtEnd() ? "an unclosed bracket" : "a missing comma");
      }
    }
    return comma;
  }

  Operand ParseParenthesis() {
    Operand result;
    std::vector<Literal> items;
    const bool comma = ParseItems(')', &items, &result);
    if (items.size() == 1 && !comma) {
      // Parentheses around one value leave it what it is.
      result.value = std::move(items[0]);
    } else {
      result.value.kind = Kind::kTuple;
      result.value.items = std::move(items);
    }
    return result;
  }

  Literal ParseBraces() {
    Literal value;
    value.kind = Kind::kDict;
    Open();
    bool first = true;
    while (!Close('}')) {
      const size_t at = position_;
      Literal key = ParseExpression();
      if (!IsHashable(key)) Fail("an unhashable key", at);
      SkipSpace();
      if (first && Peek() != ':') value.kind = Kind::kSet;
      first = false;
      if (value.is(Kind::kDict)) {
        if (!Take(':')) Fail("a missing colon");
        value.items.push_back(std::move(key));
        value.items.push_back(ParseExpression());
        SkipSpace();
      }
      if (Take(',')) {
        SkipSpace();
      } else if (Peek() != '}') {
        Fail(AtEnd() ? "an unclosed bracket" : "a missing comma");
      }
    }
    return value;
  }

  Literal ParseNameOrPrefixedString() {
    const size_t at = position_;
    size_t end = at;
    while (end < text_.size() && IsNameChar(text_[end])) ++end;
    const std::string_view name(text_.data() + at, end - at);
    if (end < text_.size() && (text_[end] == '\'' || text_[end] == '"')) return ParseStrings();
    position_ = end;
    Literal value;
    if (name == "None") return value;
    if (name == "True" || name == "False") {
      value.kind = Kind::kBool;
      value.integer = name == "True" ? 1 : 0;
      return value;
    }
    if (name == "set") {
      SkipSpace();
      if (Peek() == '(') {
        std::vector<Literal> none;
        ParseItems(')', &none);
        value.kind = Kind::kSet;
        if (none.empty()) return value;
      }
    }
    Fail("a name", at);
  }

  // Counts the digits of `base` here, and the single underscores between them (and before them,
  // after the prefix of a base). Adds them to `value`, which is saturated, not wrapped.
  size_t ParseDigits(int base, bool underscore_first, Literal* value) {
    const size_t start = position_;
    bool after_underscore = !underscore_first;
    while (!AtEnd()) {
      if (Peek() == '_') {
        if (after_underscore || DigitValue(Peek(1)) >= base) Fail("a misplaced underscore");
        after_underscore = true;
      } else if (const int digit = DigitValue(Peek()); digit < base) {
        if (__builtin_mul_overflow(value->integer, base, &value->integer) ||
            __builtin_add_overflow(value->integer, digit, &value->integer)) {
          value->fits = false;
          value->integer = 1;
        }
        after_underscore = false;
      } else {
        break;
      }
      ++position_;
    }
    return position_ - start;
  }

  Literal ParseNumber() {
    const size_t start = position_;
    Literal value;
    value.kind = Kind::kInt;
    int base = 10;
    if (Peek() == '0') {
      const char letter = static_cast<char>(Peek(1) | 0x20);
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    }
    if (base != 10) {
      position_ += 2;
      if (ParseDigits(base, /*underscore_first=*/true, &value) == 0)
        Fail("a number without digits");
    } else {
      Literal ignored;
      ParseDigits(10, false, &value);
      const size_t integer_end = position_;
      if (Take('.')) {
        value.kind = Kind::kFloat;
        ParseDigits(10, false, &ignored);
      }
      if ((Peek() | 0x20) == 'e') {
        value.kind = Kind::kFloat;
        ++position_;
        if (Peek() == '+' || Peek() == '-') ++position_;
        if (ParseDigits(10, false, &ignored) == 0) Fail("an exponent without digits");
      }
      if ((Peek() | 0x20) == 'j') {
        value.kind = Kind::kComplex;
        ++position_;
      }
      // Python 2's octal 0777 is no Python 3 int; a zero may be written 000.
      const bool nonzero = value.integer != 0 || !value.fits;
      if (value.is(Kind::kInt) && text_[start] == '0' && nonzero && integer_end > start + 1) {
        Fail("a number with leading zeros", start);
      }
    }
    if (python2_) SkipLongSuffixes();
    if (IsNameChar(Peek())) Fail("a malformed number", start);
    return value;
  }

  // NumPy drops every token L that follows a number, spaces or not, on the same line.
  void SkipLongSuffixes() {
    for (;;) {
      const size_t before = position_;
      while (Peek() == ' ' || Peek() == '\t' || Peek() == '\f' ||
             (Peek() == '\\' && Peek(1) == '\n')) {
        position_ += Peek() == '\\' ? 2 : 1;
      }
      if (Peek() != 'L' || IsNameChar(Peek(1))) {
        position_ = before;
        return;
      }
      ++position_;
    }
  }

  // One or more adjacent string literals: Python joins them.
  Literal ParseStrings() {
    Literal value;
    bool first = true;
    for (;;) {
      size_t quote = position_;
      while (quote < text_.size() && IsNameChar(text_[quote])) ++quote;
      if (quote >= text_.size() || (text_[quote] != '\'' && text_[quote] != '"')) return value;
      const Kind kind = ParseString(quote, &value.text);
      if (!first && kind != value.kind) Fail("bytes joined to a string");
      value.kind = kind;
      first = false;
      SkipSpace();
    }
  }

  Kind ParseString(size_t quote_at, std::string* out) {
    const std::string_view prefix(text_.data() + position_, quote_at - position_);
    bool raw = false;
    bool bytes = false;
    bool unicode = false;
    for (const char c : prefix) {
      bool* flag = (c | 0x20) == 'r'   ? &raw
                   : (c | 0x20) == 'b' ? &bytes
                   : (c | 0x20) == 'u' ? &unicode
                                       : nullptr;
      if (flag == nullptr || *flag) Fail("an unknown string prefix");
      *flag = true;
    }
    if (unicode && (raw || bytes)) Fail("an unknown string prefix");

    const char quote = text_[quote_at];
    position_ = quote_at + 1;
    const bool triple = Peek() == quote && Peek(1) == quote;
    if (triple) position_ += 2;
    for (;;) {
      if (AtEnd()) Fail("an unclosed string", quote_at);
      const char c = Peek();
      if (c == quote && (!triple || (Peek(1) == quote && Peek(2) == quote))) {
        position_ += triple ? 3 : 1;
        return bytes ? Kind::kBytes : Kind::kString;
      }
      if (c == '\n' && !triple) Fail("an unclosed string", quote_at);
      if (bytes && static_cast<unsigned char>(c) >= 0x80) Fail("bytes that are not ASCII");
      if (c != '\\') {
        *out += c;
        ++position_;
      } else if (position_ + 1 >= text_.size()) {
        Fail("an unclosed string", quote_at);
      } else if (raw) {
        // A raw string keeps the backslash, which still keeps a quote from ending it.
        out->append(text_, position_, 2);
        position_ += 2;
      } else {
        ++position_;
        ParseEscape(bytes, out);
      }
    }
  }

  void ParseEscape(bool bytes, std::string* out) {
    const char c = Peek();
    ++position_;
    switch (c) {
      case '\n':
        return;
      case 'a':
        *out += '\a';
        return;
      case 'b':
        *out += '\b';
        return;
      case 'f':
        *out += '\f';
        return;
      case 'n':
        *out += '\n';
        return;
      case 'r':
        *out += '\r';
        return;
      case 't':
        *out += '\t';
        return;
      case 'v':
        *out += '\v';
        return;
      case '\\':
      case '\'':
      case '"':
        *out += c;
        return;
      case 'x':
        return AppendCodePoint(ParseHex(2), out);
      default:
        break;
    }
    if (c >= '0' && c <= '7') {
      uint32_t code = static_cast<uint32_t>(c - '0');
      for (int i = 0; i < 2 && DigitValue(Peek()) < 8; ++i, ++position_) {
        code = code * 8 + static_cast<uint32_t>(DigitValue(Peek()));
      }
      return AppendCodePoint(code, out);
    }
    if (!bytes && c == 'u') return AppendCodePoint(ParseHex(4), out);
    if (!bytes && c == 'U') return AppendCodePoint(ParseHex(8), out);
    if (!bytes && c == 'N') Fail("an escape by a character's name");
    // Python keeps the backslash of an escape that it doesn't know.
    *out += '\\';
    --position_;
    if (bytes && static_cast<unsigned char>(c) >= 0x80) Fail("bytes that are not ASCII");
    *out += c;
    ++position_;
  }

  uint32_t ParseHex(int digits) {
    uint32_t code = 0;
    for (int i = 0; i < digits; ++i, ++position_) {
      if (DigitValue(Peek()) >= 16) Fail("a truncated escape");
      code = code * 16 + static_cast<uint32_t>(DigitValue(Peek()));
    }
    return code;
  }

  void AppendCodePoint(uint32_t code, std::string* out) {
    if (!AppendUtf8(code, out)) Fail("an escape that is no character");
  }

  const std::string text_;
  const bool python2_;
  size_t position_ = 0;
  int depth_ = 0;
};

}  // namespace

Literal ParseLiteral(std::string_view source, bool python2) {
  return Parser(source, python2).Parse();
}

}  // namespace npyfast
