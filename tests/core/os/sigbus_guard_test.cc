#include "core/os/sigbus_guard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/os/file.h"
#include "core/os/float_environment.h"
#include "core/os/page_size.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::TempFolder;
using testing::WriteFile;

constexpr size_t kBytes = 1 << 20;

struct Copy {
  const std::byte* source;
  std::byte* out;
  size_t bytes;
};

void RunCopy(const void* context) noexcept {
  const auto& copy = *static_cast<const Copy*>(context);
  // Volatile: not a byte is read that the test does not know of, and none is left out.
  for (size_t i = 0; i < copy.bytes; i += 512)
    copy.out[i] = *static_cast<const volatile std::byte*>(copy.source + i);
}

bool Guarded(const Copy& copy, const void** fault) { return RunGuarded(RunCopy, &copy, fault); }

const auto kPage = static_cast<size_t>(PageBytes());

// A file of kBytes 'x', of which only the first `left` bytes are left since it was mapped.
class TruncatedFile {
 public:
  explicit TruncatedFile(size_t left) : file_(Write(folder_ / "a")) {
    if (::truncate(file_.path().c_str(), static_cast<off_t>(left)) != 0)
      throw std::runtime_error("could not truncate");
  }
  const std::byte* data() const { return file_.data(); }
  const std::string& path() const { return file_.path(); }

 private:
  static std::string Write(const std::string& path) {
    WriteFile(path, std::string(kBytes, 'x'));
    return path;
  }
  const TempFolder folder_;
  MappedFile file_;
};

// What a child did that ran `body`: the signal that it died of, or its status with a minus.
template <typename Body>
int EndOfChild(Body body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::close(STDERR_FILENO);  // the sanitizers' reports of what is meant to happen
    body();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

// --- Before the guard is installed in this process: these install it in children.

std::atomic<int> others{0};
sigjmp_buf others_place;

void OthersHandler(int) { ++others; }

void OthersJump(int, siginfo_t*, void*) {
  ++others;
  ::siglongjmp(others_place, 1);
}

TEST(Chain, TheHandlerBeforeGetsWhatIsNotOurs) {
  const TruncatedFile file(0);
  IN_CHILD([&file] {
    struct sigaction other = {};
    other.sa_sigaction = OthersJump;
    other.sa_flags = SA_SIGINFO | SA_NODEFER;
    CHECK_EQ(::sigaction(SIGBUS, &other, nullptr), 0);
    InstallGuard();
    InstallGuard();
    // Not within a guarded copy, so theirs.
    for (int i = 1; i <= 3; ++i) {
      if (sigsetjmp(others_place, 1) == 0) {
        static_cast<void>(*static_cast<const volatile std::byte*>(file.data()));
        CHECK(false);
      }
      CHECK_EQ(others.load(), i);
    }
    // Ours.
    std::vector<std::byte> out(kBytes);
    const void* fault = nullptr;
    CHECK(!Guarded({file.data(), out.data(), kBytes}, &fault));
    CHECK(fault == file.data());
    CHECK_EQ(others.load(), 3);
  });
}

TEST(Chain, AHandlerWithoutInformation) {
  IN_CHILD([] {
    CHECK(::signal(SIGBUS, OthersHandler) != SIG_ERR);
    InstallGuard();
    CHECK_EQ(::kill(::getpid(), SIGBUS), 0);
    CHECK_EQ(others.load(), 1);
  });
}

TEST(Chain, ASignalThatWasIgnoredStillIs) {
  IN_CHILD([] {
    CHECK(::signal(SIGBUS, SIG_IGN) != SIG_ERR);
    InstallGuard();
    CHECK_EQ(::kill(::getpid(), SIGBUS), 0);
  });
}

TEST(Chain, WithNobodyBeforeTheProcessDies) {
  const TruncatedFile file(0);
  const auto standard = [] {
    ::signal(SIGBUS, SIG_DFL);
    InstallGuard();
  };
  const int by_fault = EndOfChild([&] {
    standard();
    static_cast<void>(*static_cast<const volatile std::byte*>(file.data()));
  });
  CHECK_EQ(by_fault, SIGBUS);
  const int by_kill = EndOfChild([&] {
    standard();
    ::kill(::getpid(), SIGBUS);
  });
  CHECK_EQ(by_kill, SIGBUS);
  const int by_ignored_fault = EndOfChild([&] {
    ::signal(SIGBUS, SIG_IGN);
    InstallGuard();
    static_cast<void>(*static_cast<const volatile std::byte*>(file.data()));
  });
  CHECK_EQ(by_ignored_fault, SIGBUS);
}

// As Python's faulthandler does: gives the signal back to whoever had it, and raises it again.
struct sigaction before_other;

void RaiseAgain(int signal) {
  ++others;
  ::sigaction(SIGBUS, &before_other, nullptr);
  ::raise(signal);
}

TEST(Chain, AHandlerThatCameLaterAndRaisesAgain) {
  const TruncatedFile file(0);
  IN_CHILD([&file] {
    InstallGuard();
    struct sigaction other = {};
    other.sa_handler = RaiseAgain;
    other.sa_flags = SA_NODEFER | SA_ONSTACK;
    CHECK_EQ(::sigaction(SIGBUS, &other, &before_other), 0);
    std::vector<std::byte> out(kBytes);
    const void* fault = out.data();
    CHECK(!Guarded({file.data(), out.data(), kBytes}, &fault));
    CHECK(fault == nullptr);  // lost on the way
    CHECK_EQ(others.load(), 1);
    fault = nullptr;
    CHECK(!Guarded({file.data(), out.data(), kBytes}, &fault));
    CHECK(fault == file.data());
  });
}

TEST(Chain, ComesBackWhenTheSignalWasGivenBackToTheSystem) {
  const TruncatedFile file(0);
  IN_CHILD([&file] {
    InstallGuard();
    CHECK(::signal(SIGBUS, SIG_DFL) != SIG_ERR);
    InstallGuard();
    std::vector<std::byte> out(kBytes);
    const void* fault = nullptr;
    CHECK(!Guarded({file.data(), out.data(), kBytes}, &fault));
  });
}

// A handler that passes on to whoever had the signal before, as a copy of the guard in another
// library does.
struct sigaction before_chain;

void PassOnToTheOneBefore(int signal, siginfo_t* info, void* context) {
  ++others;
  before_chain.sa_sigaction(signal, info, context);
}

void InstallChain() {
  struct sigaction chain = {};
  chain.sa_sigaction = PassOnToTheOneBefore;
  chain.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  CHECK_EQ(::sigaction(SIGBUS, &chain, &before_chain), 0);
}

void CheckGuarded(const TruncatedFile& file) {
  std::vector<std::byte> out(kBytes);
  const void* fault = nullptr;
  for (int i = 0; i < 2; ++i) {
    CHECK(!Guarded({file.data(), out.data(), kBytes}, &fault));
    CHECK(fault == file.data());
  }
}

TEST(Chain, TakesTheSignalBackFromAnybody) {
  const TruncatedFile file(0);
  IN_CHILD([&file] {
    InstallGuard();
    for (int i = 1; i <= 40; ++i) {
      // One that passes nothing on, as most.
      struct sigaction other = {};
      other.sa_sigaction = OthersJump;
      other.sa_flags = SA_SIGINFO | SA_NODEFER;
      CHECK_EQ(::sigaction(SIGBUS, &other, nullptr), 0);
      InstallGuard();
      CheckGuarded(file);
      if (sigsetjmp(others_place, 1) == 0) {
        static_cast<void>(*static_cast<const volatile std::byte*>(file.data()));
        CHECK(false);
      }
      CHECK_EQ(others.load(), i);
    }
  });
}

TEST(Chain, InACircleItIsTheTurnOfTheOneBefore) {
  const TruncatedFile file(0);
  IN_CHILD([&file] {
    struct sigaction first = {};
    first.sa_sigaction = OthersJump;
    first.sa_flags = SA_SIGINFO | SA_NODEFER;
    CHECK_EQ(::sigaction(SIGBUS, &first, nullptr), 0);
    InstallGuard();
    InstallChain();
    InstallGuard();  // ours passes on to the chain, and the chain to ours
    CheckGuarded(file);
    for (int i = 1; i <= 5; ++i) {
      if (sigsetjmp(others_place, 1) == 0) {
        static_cast<void>(*static_cast<const volatile std::byte*>(file.data()));
        CHECK(false);
      }
      CHECK_EQ(others.load(), 2 * i);  // both, each once
      CheckGuarded(file);
    }
  });
}

TEST(Chain, ACircleWithNobodyElseEndsTheProcess) {
  const TruncatedFile file(0);
  const int by_fault = EndOfChild([&] {
    ::signal(SIGBUS, SIG_DFL);
    InstallGuard();
    InstallChain();
    InstallGuard();
    static_cast<void>(*static_cast<const volatile std::byte*>(file.data()));
  });
  CHECK_EQ(by_fault, SIGBUS);
  if (testing::kThreadSanitizer)
    SKIP("it blocks all signals in handlers, so that none can be raised again there");
  // One that raises it again, and has given it back to us before.
  const int by_raise = EndOfChild([&] {
    ::signal(SIGBUS, SIG_DFL);
    InstallGuard();
    struct sigaction other = {};
    other.sa_handler = RaiseAgain;
    other.sa_flags = SA_NODEFER | SA_ONSTACK;
    CHECK_EQ(::sigaction(SIGBUS, &other, &before_other), 0);
    InstallGuard();
    static_cast<void>(*static_cast<const volatile std::byte*>(file.data()));
  });
  CHECK_EQ(by_raise, SIGBUS);
}

TEST(Chain, MoreHandlersThanItRemembers) {
  const TruncatedFile file(0);
  IN_CHILD([&file] {
    for (uintptr_t i = 1; i <= 50; ++i) {
      struct sigaction other = {};
      other.sa_handler = reinterpret_cast<void (*)(int)>(0x1000 * i);  // never called
      CHECK_EQ(::sigaction(SIGBUS, &other, nullptr), 0);
      InstallGuard();
      CheckGuarded(file);
    }
    CHECK(::signal(SIGBUS, OthersHandler) != SIG_ERR);
    InstallGuard();
    CHECK_EQ(::kill(::getpid(), SIGBUS), 0);
    CHECK_EQ(others.load(), 1);
  });
}

TEST(Chain, WhileThreadsFault) {
  const TruncatedFile file(0);
  IN_CHILD([&file] {
    InstallGuard();
    InstallChain();
    InstallGuard();
    std::atomic<bool> stop{false};
    std::atomic<int64_t> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        std::vector<std::byte> out(kBytes);
        const void* fault = nullptr;
        while (!stop) wrong += Guarded({file.data(), out.data(), kBytes}, &fault) ? 1 : 0;
      });
    }
    struct sigaction chain = {};
    chain.sa_sigaction = PassOnToTheOneBefore;
    chain.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    for (int i = 0; i < 5000; ++i) {
      ::sigaction(SIGBUS, &chain, nullptr);
      InstallGuard();
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    CHECK_EQ(wrong.load(), 0);
  });
}

// --- In this process.

// Rounds to nearest, as no thread of this test does, and reads what can't be read.
void RoundToNearest(const void* copy) noexcept {
  UseDefaultFloatEnvironment();
  RunCopy(copy);
}

TEST(Guard, PutsBackHowTheThreadRounds) {
  InstallGuard();
  const TruncatedFile file(0);
  std::vector<std::byte> out(kBytes);
  const Copy copy{file.data(), out.data(), kBytes};
  const int before = std::fegetround();
  std::fesetround(FE_UPWARD);
  const void* fault = nullptr;
  const bool fine = RunGuarded(RoundToNearest, &copy, &fault);
  const int after = std::fegetround();
  const volatile double one = 1;
  const volatile double tiny = 1e-30;
  const volatile double sum = one + tiny;
  std::fesetround(before);
  CHECK(!fine);
  CHECK_EQ(after, FE_UPWARD);
  CHECK(sum > 1);
}

TEST(Guard, ACopyThatWorks) {
  InstallGuard();
  const TruncatedFile file(kBytes);
  std::vector<std::byte> out(kBytes);
  const void* fault = nullptr;
  for (int i = 0; i < 1000; ++i) CHECK(Guarded({file.data(), out.data(), kBytes}, &fault));
  CHECK(fault == nullptr);
  CHECK_EQ(static_cast<char>(out[512]), 'x');
}

TEST(Guard, NamesTheFirstPageThatIsGone) {
  InstallGuard();
  for (const size_t left : {size_t{0}, kPage, 3 * kPage - 1, kBytes - kPage}) {
    const TruncatedFile file(left);
    std::vector<std::byte> out(kBytes);
    const size_t pages = (left + kPage - 1) / kPage;
    for (int again = 0; again < 3; ++again) {
      const void* fault = nullptr;
      CHECK(!Guarded({file.data(), out.data(), kBytes}, &fault));
      CHECK(fault == file.data() + pages * kPage);
    }
    // What is left can be read.
    const void* fault = nullptr;
    CHECK(Guarded({file.data(), out.data(), pages * kPage}, &fault));
  }
}

TEST(Guard, FromManyThreadsAtOnce) {
  InstallGuard();
  const TruncatedFile bad(kPage);
  const TruncatedFile good(kBytes);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::byte> out(kBytes);
      for (int i = 0; i < 200; ++i) {
        const void* fault = nullptr;
        const bool fine = (t + i) % 2 == 0;
        const std::byte* source = fine ? good.data() : bad.data();
        if (Guarded({source, out.data(), kBytes}, &fault) != fine) ++wrong;
        if (fault != (fine ? nullptr : bad.data() + kPage)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), 0);
}

// A guarded copy, and after it a fault of the outer one.
struct Nested {
  Copy inner;
  Copy outer;
  mutable bool inner_failed;
};

void RunNested(const void* context) noexcept {
  const auto& nested = *static_cast<const Nested*>(context);
  const void* fault;
  nested.inner_failed = !RunGuarded(RunCopy, &nested.inner, &fault);
  RunCopy(&nested.outer);
}

TEST(Guard, MayBeNested) {
  InstallGuard();
  const TruncatedFile bad(kPage);
  const TruncatedFile good(kBytes);
  std::vector<std::byte> out(kBytes);
  for (const bool inner_bad : {false, true}) {
    for (const bool outer_bad : {false, true}) {
      const Nested nested{{inner_bad ? bad.data() : good.data(), out.data(), kBytes},
                          {outer_bad ? bad.data() : good.data(), out.data(), kBytes},
                          false};
      const void* fault = nullptr;
      CHECK_EQ(!RunGuarded(RunNested, &nested, &fault), outer_bad);
      CHECK_EQ(nested.inner_failed, inner_bad);
    }
  }
}

TEST(Guard, OnAStackOfSignals) {
  InstallGuard();
  const TruncatedFile bad(0);
  std::atomic<int> wrong{0};
  // As threads have it that Python's faulthandler knows.
  std::thread([&] {
    std::vector<std::byte> memory(1 << 16);
    stack_t stack = {};
    stack.ss_sp = memory.data();
    stack.ss_size = memory.size();
    if (::sigaltstack(&stack, nullptr) != 0) ++wrong;
    std::vector<std::byte> out(kBytes);
    for (int i = 0; i < 100; ++i) {
      const void* fault = nullptr;
      if (Guarded({bad.data(), out.data(), kBytes}, &fault) || fault != bad.data()) ++wrong;
    }
    stack.ss_flags = SS_DISABLE;
    ::sigaltstack(&stack, nullptr);
  }).join();
  CHECK_EQ(wrong.load(), 0);
}

TEST(Guard, AFaultOfTheOutputIsSeenToo) {
  InstallGuard();
  const TempFolder folder;
  WriteFile(folder / "out", std::string(kBytes, 'x'));
  const int descriptor = ::open((folder / "out").c_str(), O_RDWR);
  void* out = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  CHECK(out != MAP_FAILED);
  CHECK_EQ(::ftruncate(descriptor, 0), 0);
  const TruncatedFile good(kBytes);
  const void* fault = nullptr;
  CHECK(!Guarded({good.data(), static_cast<std::byte*>(out), kBytes}, &fault));
  CHECK(fault == out);
  ::munmap(out, kBytes);
  ::close(descriptor);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
