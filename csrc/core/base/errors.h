#ifndef NPYFAST_CORE_BASE_ERRORS_H_
#define NPYFAST_CORE_BASE_ERRORS_H_

#include <stdexcept>
#include <string>
#include <utility>

// What the core throws. The bindings above it, and nobody else, turn these into their language's
// own errors.
namespace npyfast {

// What a message has of names in files, and of files, is shown on terminals: it is made Printable()
// here, for every error.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message);
};

// The bytes are not a readable .npy file.
class FormatError : public Error {
 public:
  using Error::Error;
};

// A readable file whose dtype holds Python objects: nothing is ever unpickled.
class ObjectDtypeError : public Error {
 public:
  using Error::Error;
};

// A row number outside [-rows, rows).
class IndexError : public Error {
 public:
  using Error::Error;
};

// A system call failed, or might as well have: errno and the file it failed for.
class OsError : public Error {
 public:
  OsError(int code, std::string path);
  // With more to say than the system's words for the code.
  OsError(int code, std::string path, std::string reason);

  int code() const { return code_; }
  const std::string& path() const { return path_; }
  const std::string& reason() const { return reason_; }

 private:
  int code_;
  std::string path_;
  std::string reason_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_BASE_ERRORS_H_
