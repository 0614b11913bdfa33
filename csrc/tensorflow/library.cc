#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "tensorflow/c_api.h"
#include "tensorflow/kernel.h"
#include "tensorflow/open_arrays.h"
#include "tensorflow/open_statistics.h"

namespace npyfast::tf {
namespace {

std::string Register() {
  try {
    std::string missing = LoadFunctions();
    if (!missing.empty()) return missing;
    RegisterBatchOp();
    RegisterIterationOp();
    return "";
  } catch (const std::exception& e) {
    return e.what();
  }
}

// TensorFlow accepts ops only while tf.load_op_library() loads their library.
const std::string& error() {
  static const std::string text = Register();
  return text;
}
[[maybe_unused]] const std::string& registered_at_load = error();

}  // namespace
}  // namespace npyfast::tf

#define NPYFAST_EXPORT extern "C" __attribute__((visibility("default")))

// Why the ops could not be registered; empty if they were.
NPYFAST_EXPORT const char* npyfast_tensorflow_error() { return npyfast::tf::error().c_str(); }

// MachineId(), for the attribute `machine`.
NPYFAST_EXPORT const char* npyfast_machine_id() {
  static const std::string id = npyfast::tf::MachineId();
  return id.c_str();
}

// OpenStatistics(); 0 if memory is exhausted.
NPYFAST_EXPORT int npyfast_open_statistics(int64_t number) {
  try {
    npyfast::tf::OpenStatistics(number);
    return 1;
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

NPYFAST_EXPORT void npyfast_close_statistics(int64_t number) {
  npyfast::tf::CloseStatistics(number);
}

// Copies Statistics::Counters() of a number; zeros if it has none.
NPYFAST_EXPORT void npyfast_read_statistics(int64_t number, int64_t* counters) {
  const std::shared_ptr<npyfast::Statistics> found = npyfast::tf::FindStatistics(number);
  const auto values = found == nullptr ? npyfast::Statistics().Counters() : found->Counters();
  std::copy(values.begin(), values.end(), counters);
}
