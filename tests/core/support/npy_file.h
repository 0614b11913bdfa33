#ifndef NPYFAST_TESTS_CORE_SUPPORT_NPY_FILE_H_
#define NPYFAST_TESTS_CORE_SUPPORT_NPY_FILE_H_

#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/npy/header.h"

// What the tests read: files in a folder of their own, written without NumPy.
namespace npyfast::testing {

// A new folder, which goes with everything in it when the object goes.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "npyfast-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline void WriteFile(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("could not write " + path);
}

// A header of version 1.0, padded as NumPy pads it. `descr` is Python text: "'<f4'".
inline std::string NpyHeader(std::string_view descr, std::span<const int64_t> shape,
                             bool fortran_order = false) {
  std::string text = "{'descr': " + std::string(descr) +
                     ", 'fortran_order': " + (fortran_order ? "True" : "False") + ", 'shape': (";
  for (const int64_t count : shape) text += std::to_string(count) + ", ";
  text += "), }";
  constexpr size_t kPrefix = 10;
  text.append(63 - (kPrefix + text.size()) % 64, ' ');
  text += '\n';
  std::string header = "\x93NUMPY";
  header += '\x01';
  header += '\x00';
  header += static_cast<char>(text.size() & 0xFF);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

// What NumPy calls a dtype, by the descr of a file: DtypeOf("'<f4'").
inline Dtype DtypeOf(std::string_view descr) {
  return ParseHeader(NpyHeader(descr, std::vector<int64_t>{0})).dtype;
}

inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline void WriteNpy(const std::string& path, std::string_view descr,
                     const std::vector<int64_t>& shape, std::span<const std::byte> data,
                     bool fortran_order = false) {
  WriteFile(path, NpyHeader(descr, shape, fortran_order).append(AsText(data)));
}

// Bytes that differ from row to row, the same in every run.
inline std::vector<std::byte> RandomBytes(size_t count, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// 0, 1, 2, ... of type T.
template <typename T>
std::vector<T> Counting(size_t count) {
  std::vector<T> numbers(count);
  std::iota(numbers.begin(), numbers.end(), T{});
  return numbers;
}

}  // namespace npyfast::testing

#endif  // NPYFAST_TESTS_CORE_SUPPORT_NPY_FILE_H_
