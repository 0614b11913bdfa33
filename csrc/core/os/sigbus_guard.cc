#include "core/os/sigbus_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include "core/os/float_environment.h"
#include "core/os/fork.h"
#include "core/os/per_thread.h"

namespace npyfast {
namespace {

// A guarded call that a thread is in.
struct Call {
  sigjmp_buf resume;
  Call* outer;
  const void* fault;
  FloatEnvironment environment;
};

NPYFAST_THREAD_LOCAL Call* innermost = nullptr;

// The handlers that had the signal before ours, each of them once, the one that had it last first.
//
// A handler may read it at any time: what it reads is one number, of four bits for each handler,
// that are its place in `handlers`, plus one.
class Others {
 public:
  static constexpr size_t kMost = 15;

  // The handler that had the signal `age` others ago; null if there was none.
  const struct sigaction* At(size_t age) const {
    const size_t place = PlaceAt(order_.load(std::memory_order_acquire), age);
    return place == 0 ? nullptr : &handlers_[place - 1];
  }

  // For one thread at a time.
  void PutFirst(const struct sigaction& handler) {
    const uint64_t order = order_.load(std::memory_order_relaxed);
    size_t age = 0;
    while (PlaceAt(order, age) != 0 && !Same(handlers_[PlaceAt(order, age) - 1], handler)) ++age;
    uint64_t place = PlaceAt(order, age);
    if (place == 0) {
      // When there is no room, the oldest is forgotten.
      if (age == kMost) --age;
      place = PlaceAt(order, age) != 0 ? PlaceAt(order, age) : age + 1;
      handlers_[place - 1] = handler;
    }
    // The younger ones come after it.
    const uint64_t younger = order & ((uint64_t{1} << (4 * age)) - 1);
    const uint64_t older = age + 1 < 16 ? order >> (4 * (age + 1)) << (4 * (age + 1)) : 0;
    order_.store(older | younger << 4 | place, std::memory_order_release);
  }

 private:
  static size_t PlaceAt(uint64_t order, size_t age) {
    return age < kMost ? order >> (4 * age) & 15 : 0;
  }
  static bool Same(const struct sigaction& a, const struct sigaction& b) {
    const bool informed = (a.sa_flags & SA_SIGINFO) != 0;
    if (informed != ((b.sa_flags & SA_SIGINFO) != 0)) return false;
    return informed ? a.sa_sigaction == b.sa_sigaction : a.sa_handler == b.sa_handler;
  }

  std::array<struct sigaction, kMost> handlers_{};
  std::atomic<uint64_t> order_{0};
};

Others others;
std::atomic<bool> installing{false};

// In a child it would stay true if another thread of its parent was installing.
const AtFork at_fork({.rank = ForkRank::kOs, .child = [] { installing = false; }});

// What a thread has passed on, while it does.
//
// Whoever it is passed on to may pass it on to us again, as another copy of this guard does that
// was installed before, or raise the signal again: then it is the turn of the handler before that
// one. Whoever has left by a jump leaves this as it is, so that it says nothing to a handler that
// does not run on top of the one that wrote it.
struct Passing {
  const void* context;
  uintptr_t frame;
  size_t age;
};
NPYFAST_THREAD_LOCAL Passing passing = {};

#if defined(__APPLE__)
// SI_USER and the codes of other calls are positive there, above those of faults.
bool RaisedByFault(const siginfo_t& info) { return info.si_code > 0 && info.si_code < SI_USER; }
bool RaisedAgain(const siginfo_t& info) {
  return info.si_code == SI_USER && info.si_pid == ::getpid();
}
#else
bool RaisedByFault(const siginfo_t& info) { return info.si_code > 0; }

// raise() by a handler that came before ours, which has lost what the kernel told it.
bool RaisedAgain(const siginfo_t& info) { return info.si_code == SI_TKILL; }
#endif

void ByDefault(int signal, const siginfo_t& info) {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, nullptr);
  // A fault comes again when the instruction is run again: the core dump shows the place.
  if (!RaisedByFault(info)) static_cast<void>(::raise(signal));
}

void PassOn(int signal, siginfo_t* info, void* context, uintptr_t frame) {
  const Passing before = passing;
  const bool again = before.frame != 0 && frame < before.frame &&
                     (context == before.context || RaisedAgain(*info));
  const size_t age = again ? before.age + 1 : 0;
  const struct sigaction* const other = others.At(age);
  passing = {context, frame, age};
  if (other != nullptr && (other->sa_flags & SA_SIGINFO) != 0) {
    other->sa_sigaction(signal, info, context);
  } else if (other == nullptr || other->sa_handler == SIG_DFL ||
             (other->sa_handler == SIG_IGN && RaisedByFault(*info))) {
    ByDefault(signal, *info);
  } else if (other->sa_handler != SIG_IGN) {
    other->sa_handler(signal);
  }
  passing = before;
}

void OnBusError(int signal, siginfo_t* info, void* context) {
  Call* const call = innermost;
  if (call == nullptr || !(RaisedByFault(*info) || RaisedAgain(*info))) {
    const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    return PassOn(signal, info, context, frame);
  }
  call->fault = RaisedByFault(*info) ? info->si_addr : nullptr;
  // As it was before the signal. A handler before ours may have been less generous than we are.
  sigset_t blocked = static_cast<ucontext_t*>(context)->uc_sigmask;
  sigdelset(&blocked, SIGBUS);
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  ::siglongjmp(call->resume, 1);
}

bool IsOurs(const struct sigaction& handler) {
  return (handler.sa_flags & SA_SIGINFO) != 0 && handler.sa_sigaction == OnBusError;
}

}  // namespace

void InstallGuard() {
  struct sigaction current;
  ::sigaction(SIGBUS, nullptr, &current);
  if (IsOurs(current)) return;
  // Never wait here: if the process forks while another thread installs, the child would wait
  // forever.
  if (installing.exchange(true, std::memory_order_acquire)) return;
  // Known before our handler is there to ask.
  others.PutFirst(current);
  struct sigaction ours = {};
  ours.sa_sigaction = OnBusError;
  // The signal is not blocked while it is handled: whoever it is passed on to may leave by a jump.
  ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  ::sigaction(SIGBUS, &ours, nullptr);
  installing.store(false, std::memory_order_release);
}

bool RunGuarded(void (*copy)(const void* context) noexcept, const void* context,
                const void** fault) {
  Call call;
  call.outer = innermost;
  call.fault = nullptr;
  call.environment = CurrentFloatEnvironment();
  // 0: the mask of signals is neither saved nor restored, which would be a system call each.
  if (sigsetjmp(call.resume, 0) == 0) {
    innermost = &call;
    // The copy's instructions must not move out of the part that is guarded.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    copy(context);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    innermost = call.outer;
    return true;
  }
  // The copy may have changed it, and the kernel has for the handler.
  UseFloatEnvironment(call.environment);
  innermost = call.outer;
  *fault = call.fault;
  return false;
}

}  // namespace npyfast
