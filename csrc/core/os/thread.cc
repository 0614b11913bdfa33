#include "core/os/thread.h"

#include <pthread.h>

#include <csignal>
#include <exception>
#include <initializer_list>

namespace npyfast {

void BeginThread(const char* name) {
#if defined(__APPLE__)
  ::pthread_setname_np(name);
#else
  ::pthread_setname_np(::pthread_self(), name);
#endif
  sigset_t signals;
  sigfillset(&signals);
  for (const int fault : {SIGBUS, SIGSEGV, SIGILL, SIGFPE}) sigdelset(&signals, fault);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  PrepareForErrors();
}

void PrepareForErrors() { static_cast<void>(std::uncaught_exceptions()); }

}  // namespace npyfast
