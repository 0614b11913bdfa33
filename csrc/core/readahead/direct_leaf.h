#ifndef NPYFAST_CORE_READAHEAD_DIRECT_LEAF_H_
#define NPYFAST_CORE_READAHEAD_DIRECT_LEAF_H_

#include <cstddef>
#include <map>
#include <memory>

#include "core/os/direct_file.h"
#include "core/source/array.h"

namespace npyfast {

// A leaf whose rows are read past the page cache.
struct DirectLeaf {
  std::shared_ptr<const Array> array;
  size_t leaf = 0;  // its number in the nest
};

// The files of a leaf, opened for direct reads when they are first needed. Few are open at once, as
// each has a descriptor. For one thread.
class DirectFiles {
 public:
  // REQUIRES: the array outlives it.
  explicit DirectFiles(const Array& array) : array_(array) {}

  // Null if the file does not allow direct reads. It stays open while it is held.
  std::shared_ptr<const DirectFile> Of(size_t file);

 private:
  const Array& array_;
  std::map<size_t, std::shared_ptr<const DirectFile>> open_;  // or null
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_DIRECT_LEAF_H_
