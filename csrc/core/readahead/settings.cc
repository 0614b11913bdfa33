#include "core/readahead/settings.h"

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/errors.h"

namespace npyfast {
namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array<Unit, 10> kUnits = {{{"", 1},
                                          {"B", 1},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12},
                                          {"KiB", 1024},
                                          {"MiB", 1048576.0},
                                          {"GiB", 1073741824.0},
                                          {"TiB", 1099511627776.0}}};

}  // namespace

std::optional<ReadMethod> DirectReadMethod() {
  const std::string value = Variable("NPYFAST_DIRECT_READS");
  if (value.empty() || value == "auto") return ReadMethod::kIoUring;
  if (value == "off") return std::nullopt;
  for (const ReadMethod method : {ReadMethod::kIoUring, ReadMethod::kAio, ReadMethod::kThreads})
    if (value == ReadMethodName(method)) return method;
  throw Error(
      "the environment variable NPYFAST_DIRECT_READS must be auto, off, io_uring, aio or threads, "
      "got " +
      value);
}

int64_t MemoryLimit() {
  const std::string value = Variable("NPYFAST_MEMORY");
  if (value.empty()) return INT64_MAX;
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  const std::string_view rest(end);
  for (const auto& [name, bytes] : kUnits) {
    if (end == value.c_str() || rest != name || !(number >= 0)) continue;
    return number * bytes < 9e18 ? static_cast<int64_t>(number * bytes) : INT64_MAX;
  }
  throw Error(
      "the environment variable NPYFAST_MEMORY must be a number of bytes, or one with a unit such "
      "as 8GiB or 500MB, got " +
      value);
}

}  // namespace npyfast
