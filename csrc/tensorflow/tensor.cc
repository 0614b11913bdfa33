#include "tensorflow/tensor.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/utf8.h"
#include "core/npy/shape.h"
#include "tensorflow/status.h"

namespace npyfast::tf {
namespace {

// Bytes of `shape` with items of `size` bytes. TensorFlow would abort if they overflow.
size_t Bytes(std::span<const int64_t> shape, size_t size) {
  const std::optional<int64_t> bytes = CheckedProduct(shape, static_cast<int64_t>(size));
  if (!bytes) throw std::bad_alloc();
  return static_cast<size_t>(*bytes);
}

Tensor NewTensor(TF_DataType type, std::span<const int64_t> shape, void* data, size_t bytes,
                 void (*release)(void*, size_t, void*)) {
  Tensor tensor(Api().TF_NewTensor(type, shape.data(), static_cast<int>(shape.size()), data, bytes,
                                   release, nullptr));
  if (tensor == nullptr) throw std::bad_alloc();  // TensorFlow has released the data
  return tensor;
}

// One item of a tensor of strings, as TensorFlow has laid it out since 2.3 (TF_TString in
// tsl/platform/ctstring_internal.h): up to 22 bytes in place, more in memory that malloc()
// allocates and free() releases. Only `size` depends on the byte order of the machine.
class String {
 public:
  static constexpr size_t kBytes = 24;

  // REQUIRES: `place` is zeroed.
  static void Make(std::byte* place, std::string_view text) {
    if (text.size() <= kSmallCapacity) {
      place[0] = static_cast<std::byte>(text.size() << 2 | kSmall);
      std::memcpy(place + 1, text.data(), text.size());
      return;
    }
    const size_t capacity = (text.size() + 15) / 16 * 16;  // and a zero after the text
    auto* characters = static_cast<char*>(std::calloc(capacity + 1, 1));
    if (characters == nullptr) throw std::bad_alloc();
    std::memcpy(characters, text.data(), text.size());
    const Large large{text.size() << 2 | kLarge, capacity, characters};
    std::memcpy(place, &large, sizeof large);
  }

  static void Free(std::byte* place) noexcept {
    Large large;
    std::memcpy(&large, place, sizeof large);
    if ((large.size & kTypeMask) == kLarge) std::free(large.characters);
  }

 private:
  struct Large {
    size_t size;
    size_t capacity;
    char* characters;
  };
  static constexpr size_t kSmallCapacity = 22;
  static constexpr size_t kTypeMask = 3;
  static constexpr size_t kSmall = 0;
  static constexpr size_t kLarge = 1;
  static_assert(sizeof(Large) == kBytes && std::endian::native == std::endian::little);
};

void FreeStrings(void* data, size_t bytes, void* /*unused*/) {
  auto* items = static_cast<std::byte*>(data);
  for (size_t i = 0; i < bytes; i += String::kBytes) String::Free(items + i);
  ReleaseToPool()(items);
}

std::string_view WithoutZeros(const std::byte* item, int64_t width) {
  std::string_view text(reinterpret_cast<const char*>(item), static_cast<size_t>(width));
  return text.substr(0, text.find_last_not_of('\0') + 1);
}

void AppendUtf32(const std::byte* item, int64_t width, std::string* out) {
  const auto* end = item + width;
  uint32_t last = 0;
  while (end > item && (std::memcpy(&last, end - 4, 4), last == 0)) end -= 4;
  for (; item < end; item += 4) {
    uint32_t code_point;
    std::memcpy(&code_point, item, 4);
    if (!AppendUtf8(code_point, out)) {
      throw StatusError(TF_INVALID_ARGUMENT, "a string holds the code point " +
                                                 std::to_string(code_point) +
                                                 ", which is no character and has no UTF-8");
    }
  }
}

}  // namespace

Tensor AdoptBuffer(TF_DataType type, std::span<const int64_t> shape, Buffer buffer) {
  const size_t bytes = Bytes(shape, Api().TF_DataTypeSize(type));
  return NewTensor(type, shape, buffer.release(), bytes, [](void* data, size_t, void*) {
    ReleaseToPool()(static_cast<std::byte*>(data));
  });
}

Tensor MakeStrings(Text text, int64_t width, std::span<const int64_t> shape,
                   const std::byte* items) {
  const size_t bytes = Bytes(shape, String::kBytes);
  Buffer strings = AcquireBuffer(bytes);
  if (bytes > 0) std::memset(strings.get(), 0, bytes);  // zeros are empty strings
  // From here on the tensor owns the strings, and frees them if this fails half way.
  std::byte* place = strings.get();
  Tensor tensor = NewTensor(TF_STRING, shape, strings.release(), bytes, FreeStrings);
  std::string utf8;
  for (const std::byte* end = place + bytes; place < end; place += String::kBytes, items += width) {
    if (text == Text::kBytes) {
      String::Make(place, WithoutZeros(items, width));
    } else {
      utf8.clear();
      AppendUtf32(items, width, &utf8);
      String::Make(place, utf8);
    }
  }
  return tensor;
}

}  // namespace npyfast::tf
