#include "core/os/cgroup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace npyfast {

double CgroupLimit(const std::string& controller,
                   const std::function<double(const std::string& folder, bool v2)>& limit,
                   const std::string& root) {
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

}  // namespace npyfast
