#ifndef NPYFAST_TENSORFLOW_STATUS_H_
#define NPYFAST_TENSORFLOW_STATUS_H_

#include <exception>
#include <string>

#include "core/base/errors.h"
#include "tensorflow/c_api.h"

namespace npyfast::tf {

// An error of the ops' own, of the kind that TensorFlow's users will see.
class StatusError : public Error {
 public:
  StatusError(TF_Code code, const std::string& message) : Error(message), code_(code) {}
  TF_Code code() const { return code_; }

 private:
  TF_Code code_;
};

// What is said of a place that a dataset, which reads `file`, does not have.
StatusError ForeignCheckpoint(const std::string& file);

// Owns a TF_Status.
class Status {
 public:
  Status() : status_(Api().TF_NewStatus()) {}
  ~Status() { Api().TF_DeleteStatus(status_); }
  Status(const Status&) = delete;
  Status& operator=(const Status&) = delete;

  TF_Status* get() const { return status_; }
  // Throws what a call has reported.
  void Check() const;
  // Becomes what an exception of the core or of the ops says. The one place that maps them.
  void Set(const std::exception_ptr& error);

 private:
  TF_Status* status_;
};

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_STATUS_H_
