#include "core/os/page_size.h"

#include <unistd.h>

namespace npyfast {

int64_t PageBytes() {
  static const int64_t bytes = ::sysconf(_SC_PAGESIZE);
  return bytes;
}

}  // namespace npyfast
