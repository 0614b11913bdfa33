#ifndef NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_
#define NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/array.h"
#include "core/file.h"

namespace npyfast::tf {

// What a dataset knows of the files of one of its arrays, from when it was made.
struct ArrayFiles {
  std::vector<std::string> paths;
  std::vector<FileStamp> stamps;
  std::string row_type;  // Array::row_type()
  int64_t rows = 0;
};

// The array of these files, which is opened once in a process and shared by everybody who asks for
// it: kept as long as somebody has it, and a few arrays longer.
//
// With `same_machine` the files must be the very ones that the dataset was made of; elsewhere a
// copy of the same row type and length will do. Thread-safe. Throws what Array::Open() throws, and
// StatusError where a file has been changed, replaced, or is another one than expected.
std::shared_ptr<const Array> OpenShared(const ArrayFiles& files, bool same_machine);

// Tells this machine, until it is started again, from every other; empty if nothing does.
std::string MachineId();

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_
