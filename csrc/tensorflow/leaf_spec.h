#ifndef NPYFAST_TENSORFLOW_LEAF_SPEC_H_
#define NPYFAST_TENSORFLOW_LEAF_SPEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/gather/cast.h"
#include "core/gather/gather.h"
#include "core/source/array_source.h"
#include "tensorflow/attributes.h"

namespace npyfast::tf {

// One leaf, by the attributes of NpyfastBatch.
struct LeafSpec {
  struct CastSpec {
    Dtype to;
    std::optional<Operand> scale;
    std::optional<Operand> shift;
  };

  ArrayFiles files;
  std::optional<CastSpec> cast;
  std::string name;  // in errors

  bool in_memory() const { return files.source.kind == ArraySource::Kind::kMemory; }

  // Shares the memory that holds the array. Throws what OpenShared() throws for other arrays than
  // the expected one. REQUIRES: in_memory().
  std::shared_ptr<const Array> View(const std::shared_ptr<const std::byte>& data,
                                    int64_t bytes) const;

  // Copies rows of the opened array; `row_shape` is the shape of a row of the result. Throws Error.
  std::shared_ptr<const Gather> MakeGather(std::shared_ptr<const Array> array,
                                           std::span<const int64_t> row_shape) const;
};

// All leaves, at least one. Throws StatusError.
std::vector<LeafSpec> ReadLeafSpecs(const Attributes& attributes);

[[noreturn]] void Malformed(const std::string& what);

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_LEAF_SPEC_H_
