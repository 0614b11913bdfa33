#ifndef NPYFAST_TESTS_CORE_CHECK_H_
#define NPYFAST_TESTS_CORE_CHECK_H_

#include <cstdio>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

// The least that a test needs, because no C++ test framework can be had from pip, and the tests must
// build wherever the package does:
//
//   TEST(Order, IsABijection) { CHECK_EQ(a, b); CHECK(c); CHECK_THROWS(f(), IndexError, "row 7"); }
//   TEST_MAIN()
//
// A failed check ends its test; every test runs; the exit status is 1 if any failed.
namespace npyfast::testing {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

struct Registrar {
  Registrar(const char* name, void (*run)()) { Tests().push_back({name, run}); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void Fail(const char* file, int line, const std::string& what) {
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <typename A, typename B>
void CheckEqual(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return;
  std::ostringstream out;
  out << text << "\n    left:  " << a << "\n    right: " << b;
  Fail(file, line, out.str());
}

inline int RunAll() {
  int failed = 0;
  for (const Test& test : Tests()) {
    try {
      test.run();
      std::printf("ok      %s\n", test.name);
    } catch (const std::exception& e) {
      ++failed;
      std::printf("FAILED  %s\n    %s\n", test.name, e.what());
    }
  }
  std::printf("%zu passed, %d failed\n", Tests().size() - failed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace npyfast::testing

#define TEST(suite, name)                                                        \
  static void suite##_##name();                                                  \
  static const ::npyfast::testing::Registrar suite##_##name##_registrar(         \
      #suite "." #name, suite##_##name);                                         \
  static void suite##_##name()

#define CHECK(condition) \
  do {                   \
    if (!(condition)) ::npyfast::testing::Fail(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_EQ(a, b) \
  ::npyfast::testing::CheckEqual((a), (b), #a " == " #b, __FILE__, __LINE__)

// The expression throws ErrorType, whose message contains `part`.
#define CHECK_THROWS(expression, ErrorType, part)                                                \
  do {                                                                                           \
    bool thrown = false;                                                                         \
    try {                                                                                        \
      (void)(expression);                                                                        \
    } catch (const ErrorType& e) {                                                               \
      thrown = true;                                                                             \
      if (std::string(e.what()).find(part) == std::string::npos)                                 \
        ::npyfast::testing::Fail(__FILE__, __LINE__, std::string("message was: ") + e.what());    \
    }                                                                                            \
    if (!thrown) ::npyfast::testing::Fail(__FILE__, __LINE__, #expression " throws " #ErrorType); \
  } while (false)

#define TEST_MAIN() \
  int main() { return ::npyfast::testing::RunAll(); }

#endif  // NPYFAST_TESTS_CORE_CHECK_H_
