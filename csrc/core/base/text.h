#ifndef NPYFAST_CORE_BASE_TEXT_H_
#define NPYFAST_CORE_BASE_TEXT_H_

#include <cstdint>
#include <string>

namespace npyfast {

// 1204224000 as 1,204,224,000.
std::string Grouped(int64_t number);

}  // namespace npyfast

#endif  // NPYFAST_CORE_BASE_TEXT_H_
