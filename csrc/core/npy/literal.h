#ifndef NPYFAST_CORE_NPY_LITERAL_H_
#define NPYFAST_CORE_NPY_LITERAL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace npyfast {

// The value of a Python literal: what ast.literal_eval() returns for it.
struct Literal {
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kString,
    kTuple,
    kList,
    kDict,
    // The rest have no place in a .npy header, and only their kind is kept. They are read at all
    // because a later entry for the same key may hide them: Python reads {'a': 1.5, 'a': 2} as
    // {'a': 2}.
    kFloat,
    kComplex,
    kBytes,
    kSet,
    kEllipsis,
  };

  Kind kind = Kind::kNone;
  // Of kBool, kInt: the value. An int that does not fit has `fits` false and a value of its sign.
  int64_t integer = 0;
  bool fits = true;
  // Of kString: UTF-8.
  std::string text;
  // Of kTuple and kList the items; of kDict key, value, key, value, ..., with equal keys still
  // apart.
  std::vector<Literal> items;

  bool is(Kind k) const { return kind == k; }
};

// CPython's own limit on nested brackets; it also bounds the recursion of whoever walks a Literal.
inline constexpr int kMaxNesting = 200;

// Reads `source`, which is UTF-8, as Python's expression grammar has it: white space, comments,
// line continuation, trailing commas, numbers in any base with underscores, string prefixes,
// escapes and implicit concatenation. With `python2`, an int may be followed by the L of Python 2's
// long.
//
// Throws FormatError with the place where it is no literal. Thread-safe.
Literal ParseLiteral(std::string_view source, bool python2);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_LITERAL_H_
