#include "core/os/recent_limits.h"

#include <atomic>
#include <chrono>

#include "core/os/resource_limits.h"

namespace npyfast {
namespace {

// What `read` returned within the last second.
template <auto read>
auto Recent() {
  constexpr auto kRecent = std::chrono::seconds(1);
  static std::atomic<decltype(read())> value{0};
  static std::atomic<std::chrono::steady_clock::time_point> read_at{};
  const auto now = std::chrono::steady_clock::now();
  if (value == 0 || now - read_at.load() > kRecent) {
    value = read();
    read_at = now;
  }
  return value.load();
}

}  // namespace

int64_t RecentUsableMemory() { return Recent<UsableMemory>(); }
int RecentUsableCpus() { return Recent<UsableCpus>(); }

}  // namespace npyfast
