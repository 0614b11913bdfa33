#include "core/os/cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "core/os/cgroup.h"

namespace npyfast {
namespace {

int AffinityCpus() {
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
  return static_cast<int>(std::thread::hardware_concurrency());
}

// CPUs that one control group grants; infinity where it sets no quota or there is no such file.
double QuotaOf(const std::string& folder, bool v2) {
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

}  // namespace

int UsableCpus() {
  const double quota = std::ceil(CgroupLimit("cpu", QuotaOf));
  const int affinity = AffinityCpus();
  return std::max(1, quota < affinity ? static_cast<int>(quota) : affinity);
}

}  // namespace npyfast
