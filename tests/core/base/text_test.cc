#include "core/base/text.h"

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

TEST(Grouped, SeparatesThousands) {
  CHECK_EQ(Grouped(0), "0");
  CHECK_EQ(Grouped(999), "999");
  CHECK_EQ(Grouped(1000), "1,000");
  CHECK_EQ(Grouped(1204224000), "1,204,224,000");
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
