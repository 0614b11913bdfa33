#include "tensorflow/c_api.h"

#include <dlfcn.h>

namespace npyfast::tf {
namespace {

// Holds the functions in every package of TensorFlow 2 for Linux.
constexpr const char* kLibrary = "libtensorflow_framework.so.2";

Functions functions;

}  // namespace

const Functions& Api() { return functions; }

std::string LoadFunctions() {
  // Only a TensorFlow that is loaded already: another copy would have another registry of ops.
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return std::string(kLibrary) + " is not loaded";
#define NPYFAST_TF(result, name, parameters)                                        \
  functions.name = reinterpret_cast<result(*) parameters>(::dlsym(library, #name)); \
  if (functions.name == nullptr) return std::string(kLibrary) + " has no function " #name;
  NPYFAST_TF_FUNCTIONS(NPYFAST_TF)
#undef NPYFAST_TF
  return "";
}

}  // namespace npyfast::tf
