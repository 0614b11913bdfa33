#ifndef NPYFAST_TESTS_CORE_SUPPORT_ROW_LIST_H_
#define NPYFAST_TESTS_CORE_SUPPORT_ROW_LIST_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace npyfast::testing {

// Row numbers as a Selection owns them.
inline std::shared_ptr<const int64_t[]> RowList(std::vector<int64_t> rows) {
  auto owner = std::make_shared<const std::vector<int64_t>>(std::move(rows));
  return {owner, owner->data()};
}

}  // namespace npyfast::testing

#endif  // NPYFAST_TESTS_CORE_SUPPORT_ROW_LIST_H_
