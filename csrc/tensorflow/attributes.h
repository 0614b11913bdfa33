#ifndef NPYFAST_TENSORFLOW_ATTRIBUTES_H_
#define NPYFAST_TENSORFLOW_ATTRIBUTES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tensorflow/c_api.h"

namespace npyfast::tf {

// Reads the attributes of a node. Every function throws StatusError.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* context) : context_(context) {}

  bool Bool(const char* name) const;
  int64_t Int(const char* name) const;
  std::string String(const char* name) const;
  std::vector<int64_t> Ints(const char* name) const;
  std::vector<std::string> Strings(const char* name) const;
  std::vector<TF_DataType> Types(const char* name) const;

 private:
  struct Size {
    int32_t items;
    int32_t bytes;
  };
  Size SizeOf(const char* name) const;

  TF_OpKernelConstruction* context_;
};

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_ATTRIBUTES_H_
