#include "tensorflow/open_statistics.h"

#include <mutex>
#include <unordered_map>

namespace npyfast::tf {
namespace {

struct AllStatistics {
  std::mutex mutex;
  std::unordered_map<int64_t, std::shared_ptr<Statistics>> of_number;

  static AllStatistics& Shared() {
    static auto* const shared = new AllStatistics;  // never destroyed: TensorFlow's threads live on
    return *shared;
  }
};

}  // namespace

void OpenStatistics(int64_t number) {
  AllStatistics& all = AllStatistics::Shared();
  const std::lock_guard lock(all.mutex);
  all.of_number.insert_or_assign(number, std::make_shared<Statistics>());
}

void CloseStatistics(int64_t number) {
  AllStatistics& all = AllStatistics::Shared();
  const std::lock_guard lock(all.mutex);
  all.of_number.erase(number);
}

std::shared_ptr<Statistics> FindStatistics(int64_t number) {
  AllStatistics& all = AllStatistics::Shared();
  const std::lock_guard lock(all.mutex);
  const auto found = all.of_number.find(number);
  return found == all.of_number.end() ? nullptr : found->second;
}

}  // namespace npyfast::tf
