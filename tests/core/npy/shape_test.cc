#include "core/npy/shape.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

using Shape = std::vector<int64_t>;

constexpr int64_t kHuge = int64_t{1} << 62;

TEST(CheckedProduct, ExcusesTheCountsAfterAZero) {
  CHECK(CheckedProduct(Shape{}) == 1);
  CHECK(CheckedProduct(Shape{2, 3}, 4) == 24);
  CHECK(CheckedProduct(Shape{0, kHuge, kHuge}) == 0);
  CHECK(CheckedProduct(Shape{kHuge, 2}) == std::nullopt);
  CHECK(CheckedProduct(Shape{kHuge, kHuge, 0}) == std::nullopt);
  CHECK(CheckedProduct(Shape{kHuge}, 2) == std::nullopt);
  CHECK(CheckedProduct(Shape{kHuge, 2}, 0) == std::nullopt);
}

TEST(ElementCount, IsZeroIfAnyDimensionIs) {
  CHECK(ElementCount(Shape{}) == 1);
  CHECK(ElementCount(Shape{2, 3}, 4) == 24);
  CHECK(ElementCount(Shape{kHuge, kHuge, 0}, 8) == 0);
  CHECK(ElementCount(Shape{kHuge, kHuge}, 0) == 0);
  CHECK(ElementCount(Shape{kHuge, 2}) == std::nullopt);
  CHECK(ElementCount(Shape{kHuge}, 2) == std::nullopt);
}

TEST(DenseStrides, FollowTheOrder) {
  CHECK(DenseStrides(Shape{}, 4, false).empty());
  CHECK(DenseStrides(Shape{2, 3, 5}, 4, false) == (Shape{60, 20, 4}));
  CHECK(DenseStrides(Shape{2, 3, 5}, 4, true) == (Shape{4, 8, 24}));
}

TEST(DenseStrides, MayOverflowWithoutElements) {
  CHECK_EQ(DenseStrides(Shape{0, kHuge, kHuge}, 4, false).size(), size_t{3});
  CHECK_EQ(DenseStrides(Shape{kHuge, kHuge, 0}, 4, true).size(), size_t{3});
}

TEST(ShapeText, IsThatOfPython) {
  CHECK_EQ(ShapeText(Shape{}), "()");
  CHECK_EQ(ShapeText(Shape{2}), "(2,)");
  CHECK_EQ(ShapeText(Shape{2, 3}), "(2, 3)");
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
