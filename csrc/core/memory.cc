#include "core/memory.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include "core/cgroup.h"

namespace npyfast {
namespace {

double AvailableBytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemAvailable:")) return 1024 * std::strtod(&line[13], nullptr);
  }
  return INFINITY;
}

double LimitOf(const std::string& folder, bool v2) {
  double bytes = INFINITY;
  // Version 2 says "max" for no limit, which is no number; version 1 a very large one.
  std::ifstream file(folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  return file >> bytes ? bytes : INFINITY;
}

}  // namespace

int64_t UsableMemory() {
  const double bytes = std::min(AvailableBytes(), CgroupLimit("memory", LimitOf));
  return bytes < 9e18 ? static_cast<int64_t>(bytes) : INT64_MAX;
}

}  // namespace npyfast
