#include "tensorflow/open_arrays.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

#include "core/os/file.h"
#include "tensorflow/status.h"

namespace npyfast::tf {
namespace {

// How many unused arrays stay open, because the next epoch's iterator may need them.
constexpr size_t kUnusedArrays = 8;

struct Entry {
  ArraySource source;
  // As when the dataset was made: after a file was replaced, datasets from before and after may
  // both be in use.
  std::vector<FileStamp> stamps;
  std::shared_ptr<const Array> array;

  bool Is(const ArrayFiles& files) const {
    return source == files.source && stamps == files.stamps;
  }
};

// The first of the files of one row determines the dtype and shape of all; the others are checked
// when they are read.
bool IsOutdated(const RowFiles& files) { return files.first_stamp() != StampOf(files.path(0)); }

// No file is opened or checked under its lock, so that one slow disk cannot block every dataset.
class OpenArrays {
 public:
  static OpenArrays& Shared() {
    static auto* const shared = new OpenArrays;  // never destroyed: TensorFlow's threads live on
    return *shared;
  }

  // The open array of the same files in the same states; null if there is none.
  std::shared_ptr<const Array> Find(const ArrayFiles& files) {
    const std::lock_guard lock(mutex_);
    const auto found = Position(files);
    if (found == arrays_.end()) return nullptr;
    arrays_.splice(arrays_.begin(), arrays_, found);
    return found->array;
  }

  // Adds an array, unless another thread was faster; returns the one to use.
  std::shared_ptr<const Array> Add(const ArrayFiles& files, std::shared_ptr<const Array> array) {
    std::list<Entry> closed;  // unmapped after the lock is released
    const std::lock_guard lock(mutex_);
    if (const auto found = Position(files); found != arrays_.end()) return found->array;
    arrays_.push_front({files.source, files.stamps, array});
    size_t unused = 0;
    for (auto open = arrays_.begin(); open != arrays_.end();) {
      const auto next = std::next(open);
      if (open->array.use_count() == 1 && ++unused > kUnusedArrays)
        closed.splice(closed.begin(), arrays_, open);
      open = next;
    }
    return array;
  }

  // Its users keep it.
  void Forget(const Array& array) {
    std::list<Entry> closed;
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(arrays_.begin(), arrays_.end(),
                                    [&](const Entry& open) { return open.array.get() == &array; });
    if (found != arrays_.end()) closed.splice(closed.begin(), arrays_, found);
  }

 private:
  std::list<Entry>::iterator Position(const ArrayFiles& files) {
    return std::find_if(arrays_.begin(), arrays_.end(),
                        [&](const Entry& open) { return open.Is(files); });
  }

  std::mutex mutex_;
  std::list<Entry> arrays_;  // the most recently used comes first
};

// The array if this process has it open, else null. Throws if a file was changed since.
std::shared_ptr<const Array> FindOpen(const ArrayFiles& files) {
  std::shared_ptr<const Array> array = OpenArrays::Shared().Find(files);
  if (array == nullptr) return nullptr;
  try {
    if (array->row_files() == nullptr) {
      array->CheckFiles();
      return array;
    }
    if (!IsOutdated(*array->row_files())) return array;
  } catch (...) {
    OpenArrays::Shared().Forget(*array);  // a dataset that is made again opens it anew
    throw;
  }
  OpenArrays::Shared().Forget(*array);
  return nullptr;
}

// The array of the files as they are now.
std::shared_ptr<const Array> OpenAnew(const ArrayFiles& files, bool same_machine) {
  const std::vector<std::string>& paths = files.source.paths;
  // An extent has the same offset in a copy of its file, but not in a file of another size.
  const bool same_size = files.source.kind == ArraySource::Kind::kExtents;
  const auto check = [&](size_t i, const FileStamp& now) {
    const FileStamp& then = files.stamps[i];
    if (same_machine ? now == then : !same_size || now.size == then.size) return;
    throw StatusError(TF_FAILED_PRECONDITION,
                      paths[i] +
                          ": was changed or replaced after the dataset was made of it; make the "
                          "dataset again");
  };
  // Before opening: a changed file would cause other, misleading errors.
  ForEachFile(files.stamps.size(), [&](size_t i) { check(i, StampOf(paths[i])); });
  std::shared_ptr<const Array> array = OpenArray(files.source);
  // A file may have been replaced before it was opened.
  for (size_t i = 0; i < array->stamps().size(); ++i) check(i, array->stamps()[i]);
  return array;
}

}  // namespace

std::string MachineId() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  std::array<char, 64> mounts;
  const ssize_t length = ::readlink("/proc/self/ns/mnt", mounts.data(), mounts.size());
  if (!id.empty() && length > 0) id.append(" ").append(mounts.data(), static_cast<size_t>(length));
  return id;
}

void CheckExpected(const Array& array, const ArrayFiles& expected, const std::string& name) {
  const auto described = [](int64_t rows, const std::string& row_type) {
    return std::to_string(rows) + " rows of " + row_type;
  };
  if (array.rows() == expected.rows && array.row_type() == expected.row_type) return;
  const bool one = expected.source.paths.size() <= 1;
  throw StatusError(TF_FAILED_PRECONDITION, name +
                                                (one ? ": holds " : " and the other files: hold ") +
                                                described(array.rows(), array.row_type()) +
                                                ", but the dataset was made of " +
                                                described(expected.rows, expected.row_type));
}

std::shared_ptr<const Array> OpenShared(const ArrayFiles& files, bool same_machine) {
  std::shared_ptr<const Array> array = FindOpen(files);
  const bool is_new = array == nullptr;
  if (is_new) array = OpenAnew(files, same_machine);
  CheckExpected(*array, files, files.source.paths[0]);
  return is_new ? OpenArrays::Shared().Add(files, std::move(array)) : array;
}

}  // namespace npyfast::tf
