#ifndef NPYFAST_TENSORFLOW_STATUS_H_
#define NPYFAST_TENSORFLOW_STATUS_H_

#include <exception>
#include <string>

#include "core/base/errors.h"
#include "tensorflow/c_api.h"

namespace npyfast::tf {

// An error of the ops, with the code that TensorFlow's users see.
class StatusError : public Error {
 public:
  StatusError(TF_Code code, const std::string& message) : Error(message), code_(code) {}
  TF_Code code() const { return code_; }

 private:
  TF_Code code_;
};

// The error for a checkpoint of another dataset than the one that reads `file`.
StatusError ForeignCheckpoint(const std::string& file);

// Owns a TF_Status.
class Status {
 public:
  Status() : status_(Api().TF_NewStatus()) {}
  ~Status() { Api().TF_DeleteStatus(status_); }
  Status(const Status&) = delete;
  Status& operator=(const Status&) = delete;

  TF_Status* get() const { return status_; }
  // Throws the error that a call has reported, if any.
  void Check() const;
  // Takes the code and text of an exception. The one place that maps exceptions to codes.
  void Set(const std::exception_ptr& error);

 private:
  TF_Status* status_;
};

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_STATUS_H_
