#include "core/os/memory.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

#include "core/os/cgroup.h"

namespace npyfast {
namespace {

// The number behind a word at the beginning of a line of a file; `otherwise` if there is none.
double NumberOf(const std::string& path, const std::string& word, double otherwise) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    double number;
    if (words >> name >> number && name == word) return number;
  }
  return otherwise;
}

double Number(const std::string& path) {
  std::ifstream file(path);
  double number;
  // Version 2 says "max" for no limit, which is no number; version 1 a very large one.
  return file >> number ? number : INFINITY;
}

// What a control group leaves: its limit less what it holds and can't let go of. Pages of files it
// can, unless they are of no disk (shmem).
double LeftIn(const std::string& folder, bool v2) {
  const double limit = Number(folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  if (limit > 9e18) return INFINITY;
  const double used = Number(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
  const std::string statistics = folder + "/memory.stat";
  const double files = NumberOf(statistics, v2 ? "file" : "total_cache", 0);
  const double shared = NumberOf(statistics, v2 ? "shmem" : "total_shmem", 0);
  const double held = std::isinf(used) ? 0 : std::max(used - files + shared, 0.0);
  return std::max(limit - held, 0.0);
}

}  // namespace

int64_t UsableMemory() { return UsableMemoryOf(""); }

int64_t UsableMemoryOf(const std::string& root) {
  const double available = 1024 * NumberOf(root + "/proc/meminfo", "MemAvailable:", INFINITY);
  const double bytes = std::min(available, CgroupLimit("memory", LeftIn, root));
  return bytes < 9e18 ? static_cast<int64_t>(bytes) : INT64_MAX;
}

}  // namespace npyfast
