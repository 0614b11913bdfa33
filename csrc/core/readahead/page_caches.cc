#include "core/readahead/page_caches.h"

#include "core/os/file.h"

namespace npyfast {
namespace {

constexpr size_t kMostOpen = 8;

}  // namespace

PageCache& PageCaches::Of(size_t file) {
  const auto found = open_.find(file);
  if (found != open_.end()) return found->second;
  if (open_.size() >= kMostOpen) open_.clear();
  return open_.try_emplace(file, array_.file(file)).first->second;
}

void PagesToDrop::Add(size_t file, int64_t offset, int64_t bytes, int64_t unit) {
  ranges_.push_back({file, offset, bytes, unit});
}

bool PagesToDrop::DropBefore(int64_t unit, int64_t most_ranges, PageCaches& caches) {
  if (ranges_.empty() || ranges_.front().unit >= unit) return false;
  for (; most_ranges > 0 && !ranges_.empty() && ranges_.front().unit < unit; --most_ranges) {
    const Range& range = ranges_.front();
    // A page that is mapped stays in the cache.
    array_.file(range.file).Advise(range.offset, range.bytes, MappedFile::Advice::kDontNeed);
    caches.Of(range.file).LetGo(range.offset, range.bytes);
    ranges_.pop_front();
  }
  return true;
}

}  // namespace npyfast
