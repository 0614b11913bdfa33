#include "core/readahead/direct_leaf.h"

#include <utility>

namespace npyfast {
namespace {

constexpr size_t kMostOpen = 64;

}  // namespace

std::shared_ptr<const DirectFile> DirectFiles::Of(size_t file) {
  if (const auto found = open_.find(file); found != open_.end()) return found->second;
  if (open_.size() >= kMostOpen) open_.clear();
  std::shared_ptr<const DirectFile> opened = DirectFile::Open(array_.file(file));
  open_.emplace(file, opened);
  return opened;
}

}  // namespace npyfast
