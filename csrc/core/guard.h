#ifndef NPYFAST_CORE_GUARD_H_
#define NPYFAST_CORE_GUARD_H_

namespace npyfast {

// Makes sure that RunGuarded() works: takes SIGBUS over from whoever had it, and passes on to them
// what is not ours. Cheap, and to be called again now and then: a debugging aid that is switched
// off gives the signal back to the system. Thread-safe.
//
// A handler that is installed later comes before ours. It must pass on what it does not know, or
// raise the signal again, as Python's faulthandler does (which writes its report first).
void InstallGuard();

// Calls copy(context), which reads memory that may be mapped from a file. Returns true; or false,
// as soon as some of it can't be read because the file was truncated or the disk failed (SIGBUS).
// Then *fault is the address, or null where it is not known, and nothing that the copy wrote is of
// use. Costs no system call.
//
// REQUIRES: InstallGuard() was called. The copy is left where it stands: it holds no lock and no
// object with a destructor, and calls nothing that does. The calling thread does not block SIGBUS.
// Thread-safe. May be nested.
bool RunGuarded(void (*copy)(const void* context) noexcept, const void* context,
                const void** fault);

}  // namespace npyfast

#endif  // NPYFAST_CORE_GUARD_H_
