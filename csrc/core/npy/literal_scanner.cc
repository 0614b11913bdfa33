#include "core/npy/literal_scanner.h"

#include "core/base/errors.h"
#include "core/base/utf8.h"

namespace npyfast {
namespace {

using Kind = Literal::Kind;

// What may continue a name. Bytes of a non-ASCII character count: a name that has one is no literal
// anyway.
bool IsNameChar(char c) {
  return LiteralScanner::IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

// The value of a digit in bases up to 16; 99 for any other character.
int DigitValue(char c) {
  if (LiteralScanner::IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
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

}  // namespace

LiteralScanner::LiteralScanner(std::string_view source, bool python2)
    : text_(UnifyLineEnds(source)), python2_(python2) {
  // CPython refuses a NUL wherever it stands, even in a comment.
  const size_t nul = text_.find('\0');
  if (nul != std::string::npos) Fail("a NUL byte", nul);
}

void LiteralScanner::Fail(std::string_view what, size_t at) const {
  throw FormatError("the header is not a Python literal: " + std::string(what) + " at character " +
                    std::to_string(at));
}

void LiteralScanner::SkipComment() {
  while (!AtEnd() && Peek() != '\n') ++position_;
}

// A backslash joins a line to the next one, which must exist.
void LiteralScanner::SkipContinuation() {
  if (Peek(1) != '\n') Fail("a stray backslash");
  if (position_ + 2 >= text_.size()) Fail("nothing after a backslash");
  position_ += 2;
}

void LiteralScanner::SkipSpace() {
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

void LiteralScanner::SkipBlankLines() {
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
size_t LiteralScanner::SkipIndent() {
  size_t columns = 0;
  for (; Peek() == ' ' || Peek() == '\t' || Peek() == '\f'; ++position_) {
    columns = Peek() == '\f' ? 0 : columns + 1;
  }
  return columns;
}

void LiteralScanner::SkipTrailer() {
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

void LiteralScanner::Open() {
  if (++depth_ > kMaxNesting) Fail("more than 200 nested brackets");
  ++position_;
  SkipSpace();
}

bool LiteralScanner::Close(char bracket) {
  if (!Take(bracket)) return false;
  --depth_;
  return true;
}

std::string_view LiteralScanner::PeekName() const {
  size_t end = position_;
  while (end < text_.size() && IsNameChar(text_[end])) ++end;
  return std::string_view(text_).substr(position_, end - position_);
}

bool LiteralScanner::AtString() const {
  const char c = Peek(PeekName().size());
  return c == '\'' || c == '"';
}

// Counts the digits of `base` here, and the single underscores between them (and before them,
// after the prefix of a base). Adds them to `value`, which is saturated, not wrapped.
size_t LiteralScanner::ParseDigits(int base, bool underscore_first, Literal* value) {
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

Literal LiteralScanner::ParseNumber() {
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
    if (ParseDigits(base, /*underscore_first=*/true, &value) == 0) Fail("a number without digits");
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
void LiteralScanner::SkipLongSuffixes() {
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

Literal LiteralScanner::ParseStrings() {
  Literal value;
  bool first = true;
  for (;;) {
    if (!AtString()) return value;
    const Kind kind = ParseString(position_ + PeekName().size(), &value.text);
    if (!first && kind != value.kind) Fail("bytes joined to a string");
    value.kind = kind;
    first = false;
    SkipSpace();
  }
}

Literal::Kind LiteralScanner::ParseString(size_t quote_at, std::string* out) {
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

void LiteralScanner::ParseEscape(bool bytes, std::string* out) {
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

uint32_t LiteralScanner::ParseHex(int digits) {
  uint32_t code = 0;
  for (int i = 0; i < digits; ++i, ++position_) {
    if (DigitValue(Peek()) >= 16) Fail("a truncated escape");
    code = code * 16 + static_cast<uint32_t>(DigitValue(Peek()));
  }
  return code;
}

void LiteralScanner::AppendCodePoint(uint32_t code, std::string* out) {
  if (!AppendUtf8(code, out)) Fail("an escape that is no character");
}

}  // namespace npyfast
