#ifndef NPYFAST_CORE_SOURCE_ARRAY_SOURCE_H_
#define NPYFAST_CORE_SOURCE_ARRAY_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/os/file.h"
#include "core/source/array.h"

namespace npyfast {

// What an array is opened from: all it takes to open it again, in this process or another. Memory
// is provided by whoever opens it.
struct ArraySource {
  // Saved graphs hold these numbers.
  enum class Kind : int64_t {
    kNpyFiles = 0,  // .npy files
    kExtents = 1,   // files of any format, and where the data of the array lies in them
    kRowFiles = 2,  // .npy files that hold one row each
    kMemory = 3,    // memory, without paths
  };
  Kind kind = Kind::kNpyFiles;
  std::vector<std::string> paths = {};
  // Of each file of kExtents, and of kMemory: the header of a .npy file that describes the data,
  // and its offset.
  std::vector<std::string> headers = {};
  std::vector<int64_t> offsets = {};
  // Of kMemory: bytes from one item to the next along each axis, which may be negative.
  std::vector<int64_t> strides = {};
  RowView view = {};  // not of kRowFiles

  bool operator==(const ArraySource&) const = default;
};

// Opens the array; `map` is as for Array::Open(). With `stamps`, one for each file, refuses a file
// in another state; files of one row have none. Throws what Array::Open() and Array::OpenRowFiles()
// throw, and FormatError for a malformed header of an extent. REQUIRES: not kMemory.
std::shared_ptr<const Array> OpenArray(const ArraySource& source,
                                       std::span<const FileStamp> stamps = {},
                                       Array::Map map = Array::Map::kNow);

// How errors name an array in memory.
inline constexpr const char* kMemoryName = "an array in memory";

// Shares memory of this many bytes, as Array::View() does. REQUIRES: `source` is of kMemory, and
// Decode() or an Array made it. Throws FormatError that names the attribute which is malformed if
// items lie outside the memory, and what Array::View() throws.
std::shared_ptr<const Array> ViewMemory(const ArraySource& source,
                                        const std::shared_ptr<const std::byte>& data,
                                        int64_t bytes);

// The files of an array, and what was known of them when it was opened.
struct ArrayFiles {
  ArraySource source;
  std::vector<FileStamp> stamps;  // none of files that hold one row each
  std::string row_type;           // Array::row_type()
  int64_t rows = 0;
};

// The files of several arrays as lists of strings and numbers, which the attributes of a TensorFlow
// op can hold. Saved graphs hold the names of the attributes, and older graphs lack some: an empty
// `kinds` means kNpyFiles throughout.
struct EncodedArrays {
  // Of each array, its absolute paths with zero bytes between them: TensorFlow copies a million
  // strings for seconds at each iteration, but not one of that length.
  std::vector<std::string> files;
  std::vector<int64_t> file_counts;  // of each array
  std::vector<int64_t> kinds;        // of each array
  std::vector<std::string> headers;  // of each extent and memory
  std::vector<int64_t> offsets;      // of each extent and memory
  std::vector<int64_t> strides;      // of each axis of each memory
  std::vector<int64_t> stamps;       // five numbers for each file that does not hold one row
  // Of each array the axes of its window, the window, its stride, and start, stop and step of its
  // slice. Empty: each row of each array is one index on axis 0, and all are there.
  std::vector<int64_t> views;
  std::vector<std::string> row_types;
  int64_t rows = 0;  // of every array

  // Calls visit(name, value) with the attribute of each member of `arrays`.
  template <typename Arrays, typename Visit>
  static void ForEach(Arrays& arrays, const Visit& visit) {
    visit("files", arrays.files);
    visit("shards", arrays.file_counts);
    visit("kinds", arrays.kinds);
    visit("headers", arrays.headers);
    visit("offsets", arrays.offsets);
    visit("strides", arrays.strides);
    visit("stamps", arrays.stamps);
    visit("views", arrays.views);
    visit("row_types", arrays.row_types);
    visit("rows_of_leaf", arrays.rows);
  }
};

// REQUIRES: arrays of equally many rows, at least one array.
EncodedArrays Encode(std::span<const ArrayFiles> arrays);

// The inverse: at least one array, each of at least one file or of memory. The lists may be
// anything. Throws FormatError that names the attribute which is malformed.
std::vector<ArrayFiles> Decode(const EncodedArrays& encoded);

}  // namespace npyfast

#endif  // NPYFAST_CORE_SOURCE_ARRAY_SOURCE_H_
