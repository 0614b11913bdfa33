#ifndef NPYFAST_TESTS_CORE_SUPPORT_CHECK_H_
#define NPYFAST_TESTS_CORE_SUPPORT_CHECK_H_

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

// The least that a test needs, because no C++ test framework can be had from pip, and the tests
// must build wherever the package does:
//
//   TEST(Order, IsABijection) { CHECK_EQ(a, b); CHECK(c); CHECK_THROWS(f(), IndexError, "row 7"); }
//   TEST_MAIN()
//
// A failed check ends its test; every test runs; the exit status is 1 if any failed. With arguments
// only the tests run whose names contain one of them. CHECK works on the main thread alone: a
// thread of a test collects what it saw, and the test checks it.
namespace npyfast::testing {

#if defined(__has_feature)
#define NPYFAST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define NPYFAST_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || NPYFAST_HAS_FEATURE(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#if defined(__SANITIZE_THREAD__) || NPYFAST_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

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

struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void Fail(const char* file, int line, const std::string& what) {
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

// A value as a message shows it: a list by its first elements, what can't be printed as "?".
template <typename T>
void Show(std::ostream& out, const T& value) {
  if constexpr (requires { out << value; }) {
    out << value;
  } else if constexpr (requires { value.begin(); }) {
    constexpr int kShown = 40;
    int shown = 0;
    out << "[";
    for (const auto& element : value) {
      if (shown > 0) out << ", ";
      if (++shown > kShown) {
        out << "...";
        break;
      }
      Show(out, element);
    }
    out << "]";
  } else {
    out << "?";
  }
}

template <typename A, typename B>
void CheckEqual(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return;
  std::ostringstream out;
  out << text << "\n    left:  ";
  Show(out, a);
  out << "\n    right: ";
  Show(out, b);
  Fail(file, line, out.str());
}

// Runs `body` in a forked child and fails if a check of its does, or if it dies or hangs.
template <typename Body>
void InChild(Body body, const char* file, int line) {
  constexpr unsigned kSeconds = 60;
  std::fflush(nullptr);
  // AddressSanitizer's allocator does not survive a fork() while a thread is inside it: let threads
  // that have nothing more to do come to rest.
  if (kAddressSanitizer) std::this_thread::sleep_for(std::chrono::milliseconds(30));
  const pid_t child = ::fork();
  if (child < 0) Fail(file, line, "fork() failed");
  if (child == 0) {
    ::alarm(kSeconds);
    int status = 1;
    try {
      body();
      status = 0;
    } catch (const std::exception& e) {
      std::printf("in a child:  %s\n", e.what());
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status))
    Fail(file, line, "the child died of signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) Fail(file, line, "a check failed in the child");
}

inline bool Chosen(std::string_view name, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (name.find(argv[i]) != std::string_view::npos) return true;
  }
  return argc < 2;
}

inline int RunAll(int argc = 0, char** argv = nullptr) {
  int passed = 0;
  int failed = 0;
  for (const Test& test : Tests()) {
    if (!Chosen(test.name, argc, argv)) continue;
    try {
      test.run();
      ++passed;
      std::printf("ok      %s\n", test.name);
    } catch (const Skipped& e) {
      std::printf("skipped %s: %s\n", test.name, e.what());
    } catch (const std::exception& e) {
      ++failed;
      std::printf("FAILED  %s\n    %s\n", test.name, e.what());
    }
    std::fflush(nullptr);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace npyfast::testing

#define TEST(suite, name)                                                                 \
  static void suite##_##name();                                                           \
  static const ::npyfast::testing::Registrar suite##_##name##_registrar(#suite "." #name, \
                                                                        suite##_##name);  \
  static void suite##_##name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) ::npyfast::testing::Fail(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_EQ(a, b) ::npyfast::testing::CheckEqual((a), (b), #a " == " #b, __FILE__, __LINE__)

// The expression throws ErrorType, whose message contains `part`.
#define CHECK_THROWS(expression, ErrorType, part)                                                 \
  do {                                                                                            \
    bool thrown = false;                                                                          \
    try {                                                                                         \
      (void)(expression);                                                                         \
    } catch (const ErrorType& e) {                                                                \
      thrown = true;                                                                              \
      if (std::string(e.what()).find(part) == std::string::npos)                                  \
        ::npyfast::testing::Fail(__FILE__, __LINE__, std::string("message was: ") + e.what());    \
    }                                                                                             \
    if (!thrown) ::npyfast::testing::Fail(__FILE__, __LINE__, #expression " throws " #ErrorType); \
  } while (false)

// Runs the callable in a forked child, where CHECK works as here.
#define IN_CHILD(...) ::npyfast::testing::InChild(__VA_ARGS__, __FILE__, __LINE__)

// Ends a test that this machine can't run.
#define SKIP(reason) throw ::npyfast::testing::Skipped(reason)

#define TEST_MAIN() \
  int main(int argc, char** argv) { return ::npyfast::testing::RunAll(argc, argv); }

#endif  // NPYFAST_TESTS_CORE_SUPPORT_CHECK_H_
