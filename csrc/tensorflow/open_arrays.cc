#include "tensorflow/open_arrays.h"

#include <algorithm>
#include <fstream>
#include <list>
#include <mutex>
#include <utility>

#include "tensorflow/status.h"

namespace npyfast::tf {
namespace {

// Arrays that nobody has at the moment, but the next epoch's iterator may ask for.
constexpr size_t kUnusedArrays = 8;

struct OpenArray {
  std::vector<std::string> paths;
  std::shared_ptr<const Array> array;
};

class OpenArrays {
 public:
  static OpenArrays& Shared() {
    static auto* const shared = new OpenArrays;  // never destroyed: TensorFlow's threads live on
    return *shared;
  }

  // The array of these files as they are now.
  std::shared_ptr<const Array> Get(const std::vector<std::string>& paths,
                                   const std::vector<FileStamp>& now) {
    std::shared_ptr<const Array> array;
    std::list<OpenArray> closed;  // unmapped when the lock has been let go
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(arrays_.begin(), arrays_.end(),
                                    [&](const OpenArray& open) { return open.paths == paths; });
    if (found != arrays_.end()) {
      arrays_.splice(arrays_.begin(), arrays_, found);
      if (found->array->stamps() == now) return found->array;
      closed.splice(closed.begin(), arrays_, found);
    }
    array = Array::Open(paths);
    arrays_.push_front({paths, array});
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
  std::vector<FileStamp> now(files.paths.size());
  ForEachFile(now.size(), [&](size_t i) { now[i] = StampOf(files.paths[i]); });
  const auto check = [&](const std::vector<FileStamp>& stamps) {
    for (size_t i = 0; same_machine && i < stamps.size(); ++i) {
      if (stamps[i] == files.stamps[i]) continue;
      throw StatusError(TF_FAILED_PRECONDITION,
                        files.paths[i] +
                            ": was changed or replaced after the dataset was made of it; make the "
                            "dataset again");
    }
  };
  check(now);
  std::shared_ptr<const Array> array = OpenArrays::Shared().Get(files.paths, now);
  check(array->stamps());  // a file may have been replaced before it was opened
  const auto described = [](int64_t rows, const std::string& row_type) {
    return std::to_string(rows) + " rows of " + row_type;
  };
  if (array->rows() != files.rows || array->row_type() != files.row_type) {
    const bool one = files.paths.size() == 1;
    throw StatusError(TF_FAILED_PRECONDITION,
                      files.paths[0] + (one ? ": holds " : " and the other shards: hold ") +
                          described(array->rows(), array->row_type()) +
                          ", but the dataset was made of " + described(files.rows, files.row_type));
  }
  return array;
}

}  // namespace npyfast::tf
