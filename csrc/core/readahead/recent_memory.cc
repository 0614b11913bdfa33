#include "core/readahead/recent_memory.h"

#include <atomic>
#include <chrono>

#include "core/os/resource_limits.h"

namespace npyfast {

int64_t RecentUsableMemory() {
  constexpr auto kRecent = std::chrono::seconds(1);
  static std::atomic<int64_t> bytes{0};
  static std::atomic<std::chrono::steady_clock::time_point> read_at{};
  const auto now = std::chrono::steady_clock::now();
  if (bytes == 0 || now - read_at.load() > kRecent) {
    bytes = UsableMemory();
    read_at = now;
  }
  return bytes;
}

}  // namespace npyfast
