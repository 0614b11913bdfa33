#ifndef NPYFAST_CORE_NPY_DTYPE_PARSER_H_
#define NPYFAST_CORE_NPY_DTYPE_PARSER_H_

#include <string_view>

#include "core/npy/dtype.h"
#include "core/npy/literal.h"

// What the entry 'descr' of a .npy header says: a dtype. Thread-safe.
namespace npyfast {

// The dtype that numpy.lib.format.descr_to_dtype(descr) makes: of a string, of (descr, shape), or
// of a list of fields ("name", descr), ("name", descr, shape), (("title", "name"), descr), in which
// a nameless void is padding.
//
// Throws FormatError if NumPy refuses it. May return a dtype of Python objects.
Dtype ParseDescr(const Literal& descr);

// The dtype that numpy.dtype(text) makes: "<f4", "|S10", ">M8[25s]", "float32", "(2,3)f4, i4".
// `text` is UTF-8.
//
// Throws FormatError if NumPy refuses it. May return a dtype of Python objects.
Dtype ParseDtypeString(std::string_view text);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_DTYPE_PARSER_H_
