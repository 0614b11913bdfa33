#ifndef NPYFAST_CORE_NPY_DTYPE_H_
#define NPYFAST_CORE_NPY_DTYPE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace npyfast {

struct Field;

// A NumPy dtype, as far as copying its items needs it. A value: copy it freely.
struct Dtype {
  // NumPy's dtype.kind: b i u f c m M S U V; O marks Python objects, and T is StringDType, whose
  // text is not in its items. A structured dtype is a V with fields; a sub-array is a V with `base`
  // and `subarray_shape`.
  char kind = 'V';
  // Stored in the byte order that is not this machine's. Meaningful for a simple dtype only.
  bool swapped = false;
  // Bytes of one item; of a sub-array, all of it.
  int64_t itemsize = 0;
  // Of M and m: what stands between the brackets of "<M8[25s]"; empty for a generic one.
  std::string unit;
  std::vector<Field> fields;
  // Structured, with nothing but padding in it: numpy.dtype([]).
  bool fieldless = false;
  std::vector<int64_t> subarray_shape;
  std::shared_ptr<const Dtype> base;

  bool is_structured() const { return fieldless || !fields.empty(); }
  bool is_subarray() const { return base != nullptr; }
  // True if this dtype or any part of it (also StringDType) holds references instead of data.
  bool has_objects() const;
};

struct Field {
  std::string name;   // UTF-8
  std::string title;  // UTF-8, empty for none
  int64_t offset = 0;
  Dtype dtype;
};

// An item that is an array of `base`: numpy.dtype((base, shape)).
//
// Throws FormatError where NumPy refuses it: a negative entry, too many of them, or an item of more
// bytes than a C int can tell.
Dtype SubarrayOf(Dtype base, std::vector<int64_t> shape);

// A structured dtype of `fields`, of which everything is set, and `itemsize` bytes.
//
// Throws FormatError where NumPy refuses it: a name or title that occurs twice, or more bytes than
// a C int can tell.
Dtype StructOf(std::vector<Field> fields, int64_t itemsize);

// A dtype as messages show it: "uint8", ">f4", "[('x', 'float32'), ('n', 'int64')]".
std::string DtypeName(const Dtype& dtype);

// Whether items of two dtypes have the same bytes: kinds, sizes, byte orders, units, and fields of
// the same names at the same offsets. Titles do not count.
bool SameDtype(const Dtype& a, const Dtype& b);

}  // namespace npyfast

#endif  // NPYFAST_CORE_NPY_DTYPE_H_
