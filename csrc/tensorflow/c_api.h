#ifndef NPYFAST_TENSORFLOW_C_API_H_
#define NPYFAST_TENSORFLOW_C_API_H_

#include <cstddef>
#include <cstdint>
#include <string>

// The part of TensorFlow's C API (tensorflow/c/*.h) that the ops need. It is declared here and
// looked up at run time in the TensorFlow that the process has loaded: the build needs neither its
// headers nor its libraries, and one binary serves every release that has these functions.
namespace npyfast::tf {

struct TF_Status;
struct TF_Tensor;
struct TF_OpDefinitionBuilder;
struct TF_ShapeInferenceContext;
struct TF_KernelBuilder;
struct TF_OpKernelConstruction;
struct TF_OpKernelContext;

enum TF_Code : int {
  TF_OK = 0,
  TF_INVALID_ARGUMENT = 3,
  TF_NOT_FOUND = 5,
  TF_PERMISSION_DENIED = 7,
  TF_RESOURCE_EXHAUSTED = 8,
  TF_FAILED_PRECONDITION = 9,
  TF_OUT_OF_RANGE = 11,
  TF_INTERNAL = 13,
  TF_UNAVAILABLE = 14,
  TF_DATA_LOSS = 15,
};

enum TF_DataType : int { TF_STRING = 7, TF_INT64 = 9 };

// NPYFAST_TF(result, name, parameters) for each function.
#define NPYFAST_TF_FUNCTIONS(NPYFAST_TF)                                                        \
  NPYFAST_TF(TF_Status*, TF_NewStatus, ())                                                      \
  NPYFAST_TF(void, TF_DeleteStatus, (TF_Status*))                                               \
  NPYFAST_TF(void, TF_SetStatus, (TF_Status*, TF_Code, const char*))                            \
  NPYFAST_TF(TF_Code, TF_GetCode, (const TF_Status*))                                           \
  NPYFAST_TF(const char*, TF_Message, (const TF_Status*))                                       \
  NPYFAST_TF(TF_OpDefinitionBuilder*, TF_NewOpDefinitionBuilder, (const char*))                 \
  NPYFAST_TF(void, TF_OpDefinitionBuilderAddAttr, (TF_OpDefinitionBuilder*, const char*))       \
  NPYFAST_TF(void, TF_OpDefinitionBuilderAddInput, (TF_OpDefinitionBuilder*, const char*))      \
  NPYFAST_TF(void, TF_OpDefinitionBuilderAddOutput, (TF_OpDefinitionBuilder*, const char*))     \
  NPYFAST_TF(void, TF_OpDefinitionBuilderSetShapeInferenceFunction,                             \
             (TF_OpDefinitionBuilder*, void (*)(TF_ShapeInferenceContext*, TF_Status*)))        \
  NPYFAST_TF(void, TF_RegisterOpDefinition, (TF_OpDefinitionBuilder*, TF_Status*))              \
  NPYFAST_TF(void, TF_ShapeInferenceContextSetUnknownShape,                                     \
             (TF_ShapeInferenceContext*, TF_Status*))                                           \
  NPYFAST_TF(TF_KernelBuilder*, TF_NewKernelBuilder,                                            \
             (const char*, const char*, void* (*)(TF_OpKernelConstruction*),                    \
              void (*)(void*, TF_OpKernelContext*), void (*)(void*)))                           \
  NPYFAST_TF(void, TF_RegisterKernelBuilder, (const char*, TF_KernelBuilder*, TF_Status*))      \
  NPYFAST_TF(void, TF_OpKernelConstruction_Failure, (TF_OpKernelConstruction*, TF_Status*))     \
  NPYFAST_TF(void, TF_OpKernelConstruction_GetAttrSize,                                         \
             (TF_OpKernelConstruction*, const char*, int32_t*, int32_t*, TF_Status*))           \
  NPYFAST_TF(void, TF_OpKernelConstruction_GetAttrBool,                                         \
             (TF_OpKernelConstruction*, const char*, unsigned char*, TF_Status*))               \
  NPYFAST_TF(void, TF_OpKernelConstruction_GetAttrInt64,                                        \
             (TF_OpKernelConstruction*, const char*, int64_t*, TF_Status*))                     \
  NPYFAST_TF(void, TF_OpKernelConstruction_GetAttrInt64List,                                    \
             (TF_OpKernelConstruction*, const char*, int64_t*, int, TF_Status*))                \
  NPYFAST_TF(void, TF_OpKernelConstruction_GetAttrString,                                       \
             (TF_OpKernelConstruction*, const char*, char*, size_t, TF_Status*))                \
  NPYFAST_TF(                                                                                   \
      void, TF_OpKernelConstruction_GetAttrStringList,                                          \
      (TF_OpKernelConstruction*, const char*, char**, size_t*, int, void*, size_t, TF_Status*)) \
  NPYFAST_TF(void, TF_OpKernelConstruction_GetAttrTypeList,                                     \
             (TF_OpKernelConstruction*, const char*, TF_DataType*, int, TF_Status*))            \
  NPYFAST_TF(void, TF_OpKernelContext_Failure, (TF_OpKernelContext*, TF_Status*))               \
  NPYFAST_TF(void, TF_GetInput, (TF_OpKernelContext*, int, TF_Tensor**, TF_Status*))            \
  NPYFAST_TF(void, TF_SetOutput, (TF_OpKernelContext*, int, const TF_Tensor*, TF_Status*))      \
  NPYFAST_TF(                                                                                   \
      TF_Tensor*, TF_NewTensor,                                                                 \
      (TF_DataType, const int64_t*, int, void*, size_t, void (*)(void*, size_t, void*), void*)) \
  NPYFAST_TF(void, TF_DeleteTensor, (TF_Tensor*))                                               \
  NPYFAST_TF(void*, TF_TensorData, (const TF_Tensor*))                                          \
  NPYFAST_TF(TF_DataType, TF_TensorType, (const TF_Tensor*))                                    \
  NPYFAST_TF(int64_t, TF_TensorElementCount, (const TF_Tensor*))                                \
  NPYFAST_TF(size_t, TF_DataTypeSize, (TF_DataType))

// NOLINTBEGIN(bugprone-macro-parentheses): there is no such place for them.
struct Functions {
#define NPYFAST_TF(result, name, parameters) result(*name) parameters = nullptr;
  NPYFAST_TF_FUNCTIONS(NPYFAST_TF)
#undef NPYFAST_TF
};
// NOLINTEND(bugprone-macro-parentheses)

// The functions. REQUIRES: LoadFunctions() has succeeded.
const Functions& Api();

// Finds the functions. Returns why they are not available, or an empty text.
std::string LoadFunctions();

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_C_API_H_
