#ifndef NPYFAST_CORE_OS_THREAD_H_
#define NPYFAST_CORE_OS_THREAD_H_

namespace npyfast {

// To be called first by every thread of ours. Names it for debuggers and top(1), with at most 15
// characters; blocks all signals but those of faults, which stay with their cause: signals sent to
// the process are for the program's own threads; and does PrepareForErrors().
void BeginThread(const char* name);

// Allocates what this thread needs to throw an exception. Otherwise the process would end if there
// were no memory for that at the first one.
void PrepareForErrors();

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_THREAD_H_
