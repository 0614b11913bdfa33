#ifndef NPYFAST_CORE_OS_SIGBUS_GUARD_H_
#define NPYFAST_CORE_OS_SIGBUS_GUARD_H_

namespace npyfast {

// Makes sure that RunGuarded() works: takes SIGBUS over from whoever has it, and passes on to them
// what is not ours. One system call if the signal is ours already. Thread-safe.
//
// To be called again before rows are read, as others may have taken the signal meanwhile: a
// debugging aid that is switched on or off, a copy of this guard in another library, the program's
// own handler. Who they are and in which order they came does not matter, nor whether they pass on
// to each other in a circle.
void InstallGuard();

// Calls copy(context), which reads memory that may be mapped from a file. Returns true; or false,
// as soon as some of it can't be read because the file was truncated or the disk failed (SIGBUS).
// Then *fault is the address, or null where it is not known, and nothing that the copy wrote is of
// use; how the thread rounds is as it was before. Costs no system call.
//
// REQUIRES: InstallGuard() was called. The copy is left where it stands: it holds no lock and no
// object with a destructor, and calls nothing that does. The calling thread does not block SIGBUS.
// Thread-safe. May be nested.
bool RunGuarded(void (*copy)(const void* context) noexcept, const void* context,
                const void** fault);

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_SIGBUS_GUARD_H_
