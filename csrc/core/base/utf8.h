#ifndef NPYFAST_CORE_BASE_UTF8_H_
#define NPYFAST_CORE_BASE_UTF8_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace npyfast {

// Appends one character to UTF-8 text; false, and nothing appended, for a surrogate or what lies
// beyond Unicode.
bool AppendUtf8(uint32_t code_point, std::string* out);

// The number of characters in `text`, or -1 if it is not UTF-8 as Python decodes it: shortest forms
// only, no surrogates.
int64_t CountUtf8(std::string_view text);

// The text as a terminal may show it: what controls one (C0, C1, line and paragraph ends, marks
// that turn the direction of text) is written as an escape, as in "\x1b" or "\u202e", and so is
// each byte that is not UTF-8. Backslashes stay as they are: of what is printable already nothing
// changes.
std::string Printable(std::string_view text);

}  // namespace npyfast

#endif  // NPYFAST_CORE_BASE_UTF8_H_
