#include "core/os/resource_limits.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "core/os/page_size.h"

namespace npyfast {
namespace {

// Reads one group's limit from its folder; infinity if it sets none.
using GroupLimit = std::function<double(const std::string& folder, bool v2)>;

// The least that this process's control group, or any of its ancestors, leaves of a controller
// ("cpu", "memory"); infinity if none sets a limit. /proc and /sys are looked for below `root`.
double CgroupLimit(const std::string& controller, const GroupLimit& limit,
                   const std::string& root = "") {
  double least = INFINITY;
  const auto up_to_root = [&](const std::string& mount, std::string group, bool v2) {
    least = std::min(least, limit(mount, v2));
    while (group.size() > 1) {
      least = std::min(least, limit(mount + group, v2));
      group.resize(group.rfind('/'));
    }
  };
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    // "hierarchy:controllers:/group"; version 2 has hierarchy 0 and no controllers.
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::istringstream controllers(line.substr(first + 1, second - first - 1));
    const std::string group = line.substr(second + 1);
    if (group.empty() || group[0] != '/') continue;
    if (second == first + 1) up_to_root(root + "/sys/fs/cgroup", group, true);
    for (std::string name; std::getline(controllers, name, ',');) {
      if (name == controller) up_to_root(root + "/sys/fs/cgroup/" + controller, group, false);
    }
  }
  return least;
}

int AffinityCpus() {
#if defined(__linux__)
  // A machine may have more CPUs than the fixed cpu_set_t holds: EINVAL then asks for a larger one.
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 20); cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool known = ::sched_getaffinity(0, bytes, set) == 0;
    const bool too_small = !known && errno == EINVAL;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return count;
    if (!too_small) break;
  }
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

// CPUs that one control group grants.
double CpuQuota(const std::string& folder, bool v2) {
  double quota = -1;
  double period = 0;
  if (v2) {
    std::ifstream file(folder + "/cpu.max");
    std::string word;
    if (!(file >> word >> period) || word == "max") return INFINITY;
    quota = std::strtod(word.c_str(), nullptr);
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

// The number after a word at the beginning of a line of a file; `otherwise` if there is none.
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

// What a control group leaves: its limit less what it holds and cannot drop. It can drop pages of
// files, unless they are of no disk (shmem).
double MemoryLeft(const std::string& folder, bool v2) {
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

int UsableCpus() {
  const double quota = std::ceil(CgroupLimit("cpu", CpuQuota));
  const int affinity = AffinityCpus();
  return std::max(1, quota < affinity ? static_cast<int>(quota) : affinity);
}

int64_t UsableMemory() {
  const int64_t bytes = UsableMemoryOf("");
  if (bytes < INT64_MAX) return bytes;
  const int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  return pages > 0 ? pages * PageBytes() : bytes;
}

int64_t UsableMemoryOf(const std::string& root) {
  const double available = 1024 * NumberOf(root + "/proc/meminfo", "MemAvailable:", INFINITY);
  const double bytes = std::min(available, CgroupLimit("memory", MemoryLeft, root));
  return bytes < 9e18 ? static_cast<int64_t>(bytes) : INT64_MAX;
}

}  // namespace npyfast
