#include "core/base/utf8.h"

#include <string>

#include "core/base/errors.h"
#include "tests/core/support/check.h"

namespace npyfast {
namespace {

TEST(Printable, EscapesWhatControlsATerminal) {
  CHECK_EQ(Printable("plain \\ 'text' \u00e9 \u65e5"), "plain \\ 'text' \u00e9 \u65e5");
  CHECK_EQ(Printable("a\x1b[31m\r\n\x7f"), "a\\x1b[31m\\x0d\\x0a\\x7f");
  CHECK_EQ(Printable("\xc2\x9b\u202e\u2028\ufeff"), "\\x9b\\u202e\\u2028\\ufeff");
  CHECK_EQ(Printable("\xff\xed\xa0\x80\xc3"), "\\xff\\xed\\xa0\\x80\\xc3");
  CHECK_EQ(Printable(Printable("\x1b")), "\\x1b");
  CHECK_EQ(std::string(Error("\x1b: no").what()), "\\x1b: no");
  CHECK_EQ(OsError(2, "\x1b").path(), "\x1b");
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
