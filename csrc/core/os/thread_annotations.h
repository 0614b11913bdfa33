#ifndef NPYFAST_CORE_OS_THREAD_ANNOTATIONS_H_
#define NPYFAST_CORE_OS_THREAD_ANNOTATIONS_H_

// Which lock guards what, for readers and for clang's -Wthread-safety, which .ci/run turns into
// errors. Other compilers see nothing. Usable with the Mutex of core/os/mutex.h only: the standard
// library's own is not annotated.
//
//   int64_t bytes GUARDED_BY(mutex_);      read and written only with mutex_ held
//   void Trim() REQUIRES(mutex_);          called only with mutex_ held
//   void Count() EXCLUDES(mutex_);         called only without: it takes mutex_ itself
#if defined(__clang__)
#define NPYFAST_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define NPYFAST_THREAD_ANNOTATION(x)
#endif

#define GUARDED_BY(mutex) NPYFAST_THREAD_ANNOTATION(guarded_by(mutex))
#define REQUIRES(...) NPYFAST_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) NPYFAST_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) NPYFAST_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) NPYFAST_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) NPYFAST_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))

// For the classes of core/os/mutex.h.
#define CAPABILITY(name) NPYFAST_THREAD_ANNOTATION(capability(name))
#define SCOPED_CAPABILITY NPYFAST_THREAD_ANNOTATION(scoped_lockable)

// For functions that the analysis cannot follow, each with a comment that says why.
#define NO_THREAD_SAFETY_ANALYSIS NPYFAST_THREAD_ANNOTATION(no_thread_safety_analysis)

#endif  // NPYFAST_CORE_OS_THREAD_ANNOTATIONS_H_
