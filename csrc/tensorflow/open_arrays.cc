#include "tensorflow/open_arrays.h"

#include <algorithm>
#include <fstream>
#include <list>
#include <mutex>
#include <utility>

#include "core/header.h"
#include "tensorflow/status.h"

namespace npyfast::tf {
namespace {

// Arrays that nobody has at the moment, but the next epoch's iterator may ask for.
constexpr size_t kUnusedArrays = 8;

struct OpenArray {
  ArraySource source;
  std::shared_ptr<const Array> array;
};

std::shared_ptr<const Array> Open(const ArraySource& source) {
  if (source.kind == ArraySource::Kind::kShards) return Array::Open(source.paths);
  if (source.kind == ArraySource::Kind::kRowFiles) return Array::OpenRowFiles(source.paths);
  std::vector<Extent> extents;
  for (size_t i = 0; i < source.paths.size(); ++i) {
    extents.push_back({source.paths[i], ParseHeader(source.headers[i])});
    extents.back().header->data_offset = source.offsets[i];
  }
  return Array::Open(extents);
}

// Whether an array is what these files hold, of which `now` are the stamps. Of files of one row
// each the first one says what all of them are; the others are looked at when they are read.
bool IsCurrent(const Array& array, const std::vector<FileStamp>& now) {
  const RowFiles* files = array.row_files();
  return files == nullptr ? array.stamps() == now : files->first_stamp() == StampOf(files->path(0));
}

class OpenArrays {
 public:
  static OpenArrays& Shared() {
    static auto* const shared = new OpenArrays;  // never destroyed: TensorFlow's threads live on
    return *shared;
  }

  // The array of these files as they are now.
  std::shared_ptr<const Array> Get(const ArraySource& source, const std::vector<FileStamp>& now) {
    std::shared_ptr<const Array> array;
    std::list<OpenArray> closed;  // unmapped when the lock has been let go
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(arrays_.begin(), arrays_.end(),
                                    [&](const OpenArray& open) { return open.source == source; });
    if (found != arrays_.end()) {
      arrays_.splice(arrays_.begin(), arrays_, found);
      if (IsCurrent(*found->array, now)) return found->array;
      closed.splice(closed.begin(), arrays_, found);
    }
    array = Open(source);
    arrays_.push_front({source, array});
    size_t unused = 0;
    for (auto open = arrays_.begin(); open != arrays_.end();) {
      const auto next = std::next(open);
      if (open->array.use_count() == 1 && ++unused > kUnusedArrays)
        closed.splice(closed.begin(), arrays_, open);
      open = next;
    }
    return array;
  }

 private:
  std::mutex mutex_;
  std::list<OpenArray> arrays_;  // the one asked for last comes first
};

}  // namespace

std::string MachineId() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  return id;
}

std::shared_ptr<const Array> OpenShared(const ArrayFiles& files, bool same_machine) {
  const std::vector<std::string>& paths = files.source.paths;
  std::vector<FileStamp> now(files.stamps.size());
  ForEachFile(now.size(), [&](size_t i) { now[i] = StampOf(paths[i]); });
  // What lies somewhere in a file is there in a copy of it, and not in a file of another size.
  const bool same_size = files.source.kind == ArraySource::Kind::kExtents;
  const auto check = [&](const std::vector<FileStamp>& stamps) {
    for (size_t i = 0; i < stamps.size(); ++i) {
      const FileStamp& then = files.stamps[i];
      const bool fine =
          same_machine ? stamps[i] == then : !same_size || stamps[i].size == then.size;
      if (fine) continue;
      throw StatusError(TF_FAILED_PRECONDITION,
                        paths[i] +
                            ": was changed or replaced after the dataset was made of it; make the "
                            "dataset again");
    }
  };
  check(now);
  std::shared_ptr<const Array> array = OpenArrays::Shared().Get(files.source, now);
  check(array->stamps());  // a file may have been replaced before it was opened
  const auto described = [](int64_t rows, const std::string& row_type) {
    return std::to_string(rows) + " rows of " + row_type;
  };
  if (array->rows() != files.rows || array->row_type() != files.row_type) {
    const bool one = paths.size() == 1;
    throw StatusError(TF_FAILED_PRECONDITION,
                      paths[0] + (one ? ": holds " : " and the other shards: hold ") +
                          described(array->rows(), array->row_type()) +
                          ", but the dataset was made of " + described(files.rows, files.row_type));
  }
  return array;
}

}  // namespace npyfast::tf
