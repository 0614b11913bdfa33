#ifndef NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_
#define NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/os/file.h"
#include "core/source/array.h"

namespace npyfast::tf {

// The files that an array is opened from.
struct ArraySource {
  enum class Kind {
    kNpyFiles,  // .npy files
    kExtents,   // files of any kind
    kRowFiles,  // .npy files that hold one row each
  };
  Kind kind = Kind::kNpyFiles;
  std::vector<std::string> paths;
  // Of each extent: the header of a .npy file that says what it is, and its place in the file.
  std::vector<std::string> headers;
  std::vector<int64_t> offsets;

  bool operator==(const ArraySource&) const = default;
};

// What a dataset knows of the files of one of its arrays, from when it was made.
struct ArrayFiles {
  ArraySource source;
  std::vector<FileStamp> stamps;  // none of files that hold one row each
  std::string row_type;           // Array::row_type()
  int64_t rows = 0;
};

// The array of these files, which is opened once in a process and shared by everybody who asks for
// it: kept as long as somebody has it, and a few arrays longer.
//
// What is open has been looked at just now: a file that was changed since is an error, as
// Array::CheckFiles() throws it. One that was replaced or removed is not: what is open is the file
// that the dataset was made of.
//
// What must be opened must be, with `same_machine`, the very files that the dataset was made of;
// elsewhere a copy of the same row type and length will do. Files of one row each are held to the
// first of them whenever they are read, and may change. Thread-safe. Throws what Array::Open()
// throws, and StatusError where a file has been changed, replaced, or is another one than expected.
std::shared_ptr<const Array> OpenShared(const ArrayFiles& files, bool same_machine);

// Tells this machine, until it is started again, from every other, and what has mounts of its own
// on it, as a container has, from the rest of it; empty if nothing does.
std::string MachineId();

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_
