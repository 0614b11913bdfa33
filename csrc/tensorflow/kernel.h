#ifndef NPYFAST_TENSORFLOW_KERNEL_H_
#define NPYFAST_TENSORFLOW_KERNEL_H_

#include <exception>
#include <initializer_list>
#include <memory>

#include "tensorflow/attributes.h"
#include "tensorflow/c_api.h"
#include "tensorflow/status.h"
#include "tensorflow/tensor.h"

namespace npyfast::tf {

// The definition of an op. Each text is as in REGISTER_OP of the C++ API.
struct OpDefinition {
  const char* name;
  std::initializer_list<const char*> inputs;
  std::initializer_list<const char*> outputs;
  std::initializer_list<const char*> attributes;
  void* (*create)(TF_OpKernelConstruction*);
  void (*compute)(void*, TF_OpKernelContext*);
  void (*destroy)(void*);
};

// Registers a stateless op, and its kernel for the CPU. Throws StatusError.
void RegisterOp(const OpDefinition& op);

// An input of a running op.
Tensor GetInput(TF_OpKernelContext* context, int index);

// The callbacks of a kernel, a class that is made from Attributes and has
// Compute(TF_OpKernelContext*). They throw nothing.
template <typename Kernel>
void* CreateKernel(TF_OpKernelConstruction* context) {
  try {
    return new Kernel(Attributes(context));
  } catch (...) {
    Status status;
    status.Set(std::current_exception());
    Api().TF_OpKernelConstruction_Failure(context, status.get());
    return nullptr;
  }
}

template <typename Kernel>
void ComputeKernel(void* kernel, TF_OpKernelContext* context) {
  try {
    static_cast<Kernel*>(kernel)->Compute(context);
  } catch (...) {
    Status status;
    status.Set(std::current_exception());
    Api().TF_OpKernelContext_Failure(context, status.get());
  }
}

template <typename Kernel>
void DestroyKernel(void* kernel) {
  delete static_cast<Kernel*>(kernel);
}

// One function for each op.
void RegisterBatchOp();
void RegisterIterationOp();

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_KERNEL_H_
