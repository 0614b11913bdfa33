#include "tensorflow/kernel.h"

namespace npyfast::tf {

void RegisterOp(const OpDefinition& op) {
  TF_OpDefinitionBuilder* builder = Api().TF_NewOpDefinitionBuilder(op.name);
  for (const char* input : op.inputs) Api().TF_OpDefinitionBuilderAddInput(builder, input);
  for (const char* output : op.outputs) Api().TF_OpDefinitionBuilderAddOutput(builder, output);
  for (const char* attribute : op.attributes)
    Api().TF_OpDefinitionBuilderAddAttr(builder, attribute);
  // An op needs such a function to be part of a graph; the dataset sets the shapes.
  Api().TF_OpDefinitionBuilderSetShapeInferenceFunction(
      builder, Api().TF_ShapeInferenceContextSetUnknownShape);
  // Do not call TF_OpDefinitionBuilderSetIsStateful(builder, false): it makes the op stateful.
  const Status status;
  Api().TF_RegisterOpDefinition(builder, status.get());
  status.Check();
  TF_KernelBuilder* kernel =
      Api().TF_NewKernelBuilder(op.name, "CPU", op.create, op.compute, op.destroy);
  Api().TF_RegisterKernelBuilder(op.name, kernel, status.get());
  status.Check();
}

Tensor GetInput(TF_OpKernelContext* context, int index) {
  const Status status;
  TF_Tensor* tensor = nullptr;
  Api().TF_GetInput(context, index, &tensor, status.get());
  status.Check();
  return Tensor(tensor);
}

}  // namespace npyfast::tf
