#ifndef NPYFAST_CORE_NPY_LITERAL_SCANNER_H_
#define NPYFAST_CORE_NPY_LITERAL_SCANNER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/npy/literal.h"

namespace npyfast {

// The characters of a Python literal, read from left to right: white space, brackets, numbers and
// strings. What values they make is for literal.cc. All throw FormatError with the place of what
// Python would not read. Not thread-safe.
class LiteralScanner {
 public:
  LiteralScanner(std::string_view source, bool python2);

  [[noreturn]] void Fail(std::string_view what, size_t at) const;
  [[noreturn]] void Fail(std::string_view what) const { Fail(what, position_); }

  size_t position() const { return position_; }
  bool AtEnd() const { return position_ >= text_.size(); }
  // The character here or some characters ahead; NUL after the end.
  char Peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  void Skip(size_t characters) { position_ += characters; }
  bool Take(char c) {
    if (AtEnd() || Peek() != c) return false;
    ++position_;
    return true;
  }

  // White space between tokens. The end of a line counts as such inside brackets only.
  void SkipSpace();
  // Blank lines and comments before the value. An indented first line is no error, because
  // ast.literal_eval strips that (and NumPy's filter for Python 2 a form feed too); an indented
  // later one is.
  void SkipBlankLines();
  // Blank lines and comments after the value, which must be all there is.
  void SkipTrailer();

  // Consumes an opening bracket and the white space after it.
  void Open();
  // Consumes the closing bracket, if it is here. The white space after it follows the rules of
  // outside.
  bool Close(char bracket);

  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }

  // The name that begins here, without consuming it.
  std::string_view PeekName() const;
  // Whether a string begins here, with or without a prefix.
  bool AtString() const;

  Literal ParseNumber();
  // One or more adjacent string literals, which Python joins.
  Literal ParseStrings();

 private:
  void SkipComment();
  void SkipContinuation();
  size_t SkipIndent();
  size_t ParseDigits(int base, bool underscore_first, Literal* value);
  void SkipLongSuffixes();
  Literal::Kind ParseString(size_t quote_at, std::string* out);
  void ParseEscape(bool bytes, std::string* out);
  uint32_t ParseHex(int digits);
  void AppendCodePoint(uint32_t code, std::string* out);

  const std::string text_;
  const bool python2_;
  size_t position_ = 0;
  int depth_ = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_LITERAL_SCANNER_H_
