#include "core/base/text.h"

#include <cstddef>

namespace npyfast {

std::string Grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (size_t i = text.size(); i > 3;) text.insert(i -= 3, ",");
  return text;
}

}  // namespace npyfast
