#ifndef NPYFAST_CORE_OS_CGROUP_H_
#define NPYFAST_CORE_OS_CGROUP_H_

#include <functional>
#include <string>

namespace npyfast {

// The least that this process's control group, or any of its ancestors, leaves of a controller
// ("cpu", "memory"), in version 1 or 2; infinity where none sets a limit.
//
// limit(folder, v2) reads one group's limit from its folder, infinity for none. Thread-safe. /proc
// and /sys are looked for below `root`.
double CgroupLimit(const std::string& controller,
                   const std::function<double(const std::string& folder, bool v2)>& limit,
                   const std::string& root = "");

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_CGROUP_H_
