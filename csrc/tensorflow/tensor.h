#ifndef NPYFAST_TENSORFLOW_TENSOR_H_
#define NPYFAST_TENSORFLOW_TENSOR_H_

#include <cstdint>
#include <memory>
#include <span>

#include "core/os/buffer_pool.h"
#include "tensorflow/c_api.h"

namespace npyfast::tf {

struct DeleteTensor {
  void operator()(TF_Tensor* tensor) const noexcept { Api().TF_DeleteTensor(tensor); }
};

// Owns a TF_Tensor, which is itself one of the references to a tensor.
using Tensor = std::unique_ptr<TF_Tensor, DeleteTensor>;

// The items of a column of text: bytes (NumPy's S) or UTF-32 (U), padded with zeros; or none.
enum class Text { kNone, kBytes, kUtf32 };

// A tensor of the buffer's bytes, without a copy: the buffer goes back to the pool when TensorFlow
// lets go of the tensor. REQUIRES: the buffer holds the items of `shape`.
Tensor AdoptBuffer(TF_DataType type, std::span<const int64_t> shape, Buffer buffer);

// A tensor of strings, made of items of `width` bytes each, without the zeros at their ends, U as
// UTF-8. Throws StatusError for what is no character.
Tensor MakeStrings(Text text, int64_t width, std::span<const int64_t> shape,
                   const std::byte* items);

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_TENSOR_H_
