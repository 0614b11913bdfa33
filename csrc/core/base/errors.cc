#include "core/base/errors.h"

#include <system_error>

#include "core/base/utf8.h"

namespace npyfast {

Error::Error(const std::string& message) : std::runtime_error(Printable(message)) {}

OsError::OsError(int code, std::string path)
    : OsError(code, std::move(path), std::generic_category().message(code)) {}

OsError::OsError(int code, std::string path, std::string reason)
    : Error(path + ": " + reason),
      code_(code),
      path_(std::move(path)),
      reason_(std::move(reason)) {}

}  // namespace npyfast
