#include "core/os/fork.h"

#include <cstdint>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

TEST(ForkGeneration, CountsForksDownToThisProcess) {
  const uint64_t here = ForkGeneration();
  IN_CHILD([here] {
    CHECK_EQ(ForkGeneration(), here + 1);
    IN_CHILD([here] { CHECK_EQ(ForkGeneration(), here + 2); });
    CHECK_EQ(ForkGeneration(), here + 1);
  });
  CHECK_EQ(ForkGeneration(), here);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
