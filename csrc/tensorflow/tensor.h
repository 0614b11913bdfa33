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

// Owns a TF_Tensor, which is one of several references to a tensor.
using Tensor = std::unique_ptr<TF_Tensor, DeleteTensor>;

// Whether a column is text, padded with zeros: bytes (NumPy's S) or UTF-32 (U).
enum class Text { kNone, kBytes, kUtf32 };

// A tensor that adopts the buffer without a copy. The buffer returns to the pool when TensorFlow
// releases the tensor. REQUIRES: the buffer holds the items of `shape`.
Tensor AdoptBuffer(TF_DataType type, std::span<const int64_t> shape, Buffer buffer);

// A tensor of strings from items of `width` bytes each, without the zeros at their ends; U becomes
// UTF-8. Throws StatusError for an invalid character.
Tensor MakeStrings(Text text, int64_t width, std::span<const int64_t> shape,
                   const std::byte* items);

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_TENSOR_H_
