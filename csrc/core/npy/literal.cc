#include "core/npy/literal.h"

#include <utility>

#include "core/npy/literal_scanner.h"

namespace npyfast {
namespace {

using Kind = Literal::Kind;

bool IsHashable(const Literal& value) {
  if (value.is(Kind::kTuple)) {
    for (const Literal& item : value.items) {
      if (!IsHashable(item)) return false;
    }
    return true;
  }
  return !value.is(Kind::kList) && !value.is(Kind::kDict) && !value.is(Kind::kSet);
}

class Parser {
 public:
  Parser(std::string_view source, bool python2) : scanner_(source, python2) {}

  Literal Parse() {
    scanner_.SkipBlankLines();
    Literal value = ParseTop();
    scanner_.SkipTrailer();
    return value;
  }

 private:
  // A value, and whether it was written as one constant: a sign goes before no other kind of
  // number.
  struct Operand {
    Literal value;
    bool constant = false;
  };

  // A comma makes a tuple, here without parentheses.
  Literal ParseTop() {
    Literal first = ParseExpression();
    scanner_.SkipSpace();
    if (scanner_.Peek() != ',') return first;
    Literal tuple;
    tuple.kind = Kind::kTuple;
    tuple.items.push_back(std::move(first));
    while (scanner_.Take(',')) {
      scanner_.SkipSpace();
      if (scanner_.AtEnd() || scanner_.Peek() == '\n' || scanner_.Peek() == '#') break;
      tuple.items.push_back(ParseExpression());
      scanner_.SkipSpace();
    }
    return tuple;
  }

  Literal ParseExpression() { return ParseSum().value; }

  // ast.literal_eval's one binary operation: a real number plus or minus an imaginary one.
  Operand ParseSum() {
    Operand left = ParseSigned();
    scanner_.SkipSpace();
    if (scanner_.Peek() != '+' && scanner_.Peek() != '-') return left;
    const size_t at = scanner_.position();
    scanner_.Skip(1);
    const Operand right = ParseSigned(/*sign_allowed=*/false);
    const bool real = left.value.is(Kind::kInt) || left.value.is(Kind::kFloat);
    if (!real || !right.constant || !right.value.is(Kind::kComplex))
      scanner_.Fail("arithmetic", at);
    scanner_.SkipSpace();
    if (scanner_.Peek() == '+' || scanner_.Peek() == '-') scanner_.Fail("arithmetic");
    Operand sum;
    sum.value.kind = Kind::kComplex;
    return sum;
  }

  Operand ParseSigned(bool sign_allowed = true) {
    scanner_.SkipSpace();
    if (!sign_allowed || (scanner_.Peek() != '+' && scanner_.Peek() != '-')) return ParseAtom();
    const size_t at = scanner_.position();
    const bool negative = scanner_.Peek() == '-';
    scanner_.Skip(1);
    scanner_.SkipSpace();
    Operand operand = ParseAtom();
    const Kind kind = operand.value.kind;
    const bool number = kind == Kind::kInt || kind == Kind::kFloat || kind == Kind::kComplex;
    if (!operand.constant || !number)
      scanner_.Fail("a sign before something that is no number", at);
    // No constant is negative, so this can't overflow; -2**63 alone counts as too large, which no
    // header needs.
    if (negative) operand.value.integer = -operand.value.integer;
    operand.constant = false;
    return operand;
  }

  Operand ParseAtom() {
    const char c = scanner_.Peek();
    if (c == '(') return ParseParenthesis();
    Operand atom;
    atom.constant = true;
    if (c == '[') {
      atom.value.kind = Kind::kList;
      ParseItems(']', &atom.value.items);
    } else if (c == '{') {
      atom.value = ParseBraces();
    } else if (LiteralScanner::IsDigit(c) ||
               (c == '.' && LiteralScanner::IsDigit(scanner_.Peek(1)))) {
      atom.value = scanner_.ParseNumber();
    } else if (c == '.' && scanner_.Peek(1) == '.' && scanner_.Peek(2) == '.') {
      scanner_.Skip(3);
      atom.value.kind = Kind::kEllipsis;
    } else if (scanner_.AtString()) {
      atom.value = scanner_.ParseStrings();
    } else if (!scanner_.PeekName().empty()) {
      atom.value = ParseName();
    } else {
      scanner_.Fail(scanner_.AtEnd() ? "an unexpected end" : "an unexpected character");
    }
    return atom;
  }

  // The items of a list, a set or a tuple, from the opening bracket to the closing one; true if
  // there was a comma.
  bool ParseItems(char closing, std::vector<Literal>* items, Operand* last = nullptr) {
    scanner_.Open();
    bool comma = false;
    while (!scanner_.Close(closing)) {
      Operand item = ParseSum();
      if (last != nullptr) last->constant = item.constant;
      items->push_back(std::move(item.value));
      scanner_.SkipSpace();
      if (scanner_.Take(',')) {
        comma = true;
        scanner_.SkipSpace();
      } else if (scanner_.Peek() != closing || scanner_.AtEnd()) {
        scanner_.Fail(scanner_.AtEnd() ? "an unclosed bracket" : "a missing comma");
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
    scanner_.Open();
    bool first = true;
    while (!scanner_.Close('}')) {
      const size_t at = scanner_.position();
      Literal key = ParseExpression();
      if (!IsHashable(key)) scanner_.Fail("an unhashable key", at);
      scanner_.SkipSpace();
      if (first && scanner_.Peek() != ':') value.kind = Kind::kSet;
      first = false;
      if (value.is(Kind::kDict)) {
        if (!scanner_.Take(':')) scanner_.Fail("a missing colon");
        value.items.push_back(std::move(key));
        value.items.push_back(ParseExpression());
        scanner_.SkipSpace();
      }
      if (scanner_.Take(',')) {
        scanner_.SkipSpace();
      } else if (scanner_.Peek() != '}') {
        scanner_.Fail(scanner_.AtEnd() ? "an unclosed bracket" : "a missing comma");
      }
    }
    return value;
  }

  Literal ParseName() {
    const size_t at = scanner_.position();
    const std::string_view name = scanner_.PeekName();
    scanner_.Skip(name.size());
    Literal value;
    if (name == "None") return value;
    if (name == "True" || name == "False") {
      value.kind = Kind::kBool;
      value.integer = name == "True" ? 1 : 0;
      return value;
    }
    if (name == "set") {
      scanner_.SkipSpace();
      if (scanner_.Peek() == '(') {
        std::vector<Literal> none;
        ParseItems(')', &none);
        value.kind = Kind::kSet;
        if (none.empty()) return value;
      }
    }
    scanner_.Fail("a name", at);
  }

  LiteralScanner scanner_;
};

}  // namespace

Literal ParseLiteral(std::string_view source, bool python2) {
  return Parser(source, python2).Parse();
}

}  // namespace npyfast
