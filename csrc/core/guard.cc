#include "core/guard.h"

#include <ucontext.h>

#include <atomic>
#include <csetjmp>
#include <csignal>

namespace npyfast {
namespace {

// A guarded call that a thread is in.
struct Call {
  sigjmp_buf resume;
  Call* outer;
  const void* fault;
};

thread_local Call* innermost = nullptr;

// Who had the signal before us. Written before our handler is there to read it.
struct sigaction previous;
std::atomic<bool> installing{false};

bool RaisedByFault(const siginfo_t& info) { return info.si_code > 0; }

// raise() by a handler that came before ours, which has lost what the kernel told it.
bool RaisedAgain(const siginfo_t& info) { return info.si_code == SI_TKILL; }

void PassOn(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_IGN && !RaisedByFault(*info)) {
    return;
  } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(signal, &standard, nullptr);
    // A fault comes again when the instruction is run again: the core dump shows the place.
    if (!RaisedByFault(*info)) ::raise(signal);
  } else {
    previous.sa_handler(signal);
  }
}

void OnBusError(int signal, siginfo_t* info, void* context) {
  Call* const call = innermost;
  if (call == nullptr || !(RaisedByFault(*info) || RaisedAgain(*info)))
    return PassOn(signal, info, context);
  call->fault = RaisedByFault(*info) ? info->si_addr : nullptr;
  // As it was before the signal. A handler before ours may have been less generous than we are.
  sigset_t blocked = static_cast<ucontext_t*>(context)->uc_sigmask;
  ::sigdelset(&blocked, SIGBUS);
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  ::siglongjmp(call->resume, 1);
}

}  // namespace

void InstallGuard() {
  // Who comes while another thread is at it does not wait: a fork meanwhile would make that
  // forever.
  if (installing.exchange(true, std::memory_order_acquire)) return;
  static bool installed = false;
  struct sigaction current;
  ::sigaction(SIGBUS, nullptr, &current);
  const bool nobody = (current.sa_flags & SA_SIGINFO) == 0 &&
                      (current.sa_handler == SIG_DFL || current.sa_handler == SIG_IGN);
  // A handler that was installed after ours may pass on to us: to take its place, and pass on to it
  // in turn, would make a circle.
  if (nobody || !installed) {
    previous = current;
    struct sigaction ours = {};
    ours.sa_sigaction = OnBusError;
    // The signal is not blocked while it is handled: whoever it is passed on to may leave by a
    // jump.
    ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    ::sigemptyset(&ours.sa_mask);
    ::sigaction(SIGBUS, &ours, nullptr);
    installed = true;
  }
  installing.store(false, std::memory_order_release);
}

bool RunGuarded(void (*copy)(const void* context) noexcept, const void* context,
                const void** fault) {
  Call call;
  call.outer = innermost;
  call.fault = nullptr;
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
  innermost = call.outer;
  *fault = call.fault;
  return false;
}

}  // namespace npyfast
