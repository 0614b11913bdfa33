#include "core/errors.h"

#include <system_error>

namespace npyfast {

OsError::OsError(int code, std::string path)
    : Error(path + ": " + std::generic_category().message(code)),
      code_(code),
      path_(std::move(path)) {}

}  // namespace npyfast
