#ifndef NPYFAST_CORE_OS_FORK_H_
#define NPYFAST_CORE_OS_FORK_H_

#include <cstdint>

#include "core/os/mutex.h"

namespace npyfast {

// How many forks lie between this process and the one that loaded the library. A thread does not
// survive fork(): its owner remembers the generation it was started in, and starts over when it has
// changed. Thread-safe; costs one load.
uint64_t ForkGeneration();

// The lock order at fork(), lowest first. A thread that holds a lock of one rank may take locks of
// lower ranks, never of higher ones.
enum class ForkRank { kOs, kSource, kStream };

// What a subsystem does at fork(); each may be null. `prepare` and `parent` run in the parent,
// before and after; `child` runs in the child. All run in the thread that forks.
//
// The handlers allocate nothing and take no other locks: after fork(), a lock of the memory
// allocator may be held by a thread that the child does not have.
struct ForkHandlers {
  ForkRank rank;
  void (*prepare)() = nullptr;
  void (*parent)() = nullptr;
  void (*child)() = nullptr;
};

// Registers handlers for the rest of the process. `prepare` handlers run from the highest rank to
// the lowest and, within a rank, from the last registered to the first; the others run in the
// reverse order. Allocates nothing. Thread-safe, also while another thread forks.
//
// REQUIRES: the object is never destroyed before the library is unloaded; the caller holds no lock
// that a handler takes.
class AtFork {
 public:
  explicit AtFork(const ForkHandlers& handlers) : AtFork(handlers, nullptr) {}
  // Holds a mutex during fork(): a child must not inherit it locked by a thread that the child does
  // not have.
  AtFork(ForkRank rank, Mutex& held) : AtFork({.rank = rank}, &held) {}
  AtFork(const AtFork&) = delete;
  AtFork& operator=(const AtFork&) = delete;

 private:
  friend struct ForkRegistry;

  AtFork(const ForkHandlers& handlers, Mutex* held);
  void Prepare() const;
  void Parent() const;
  void Child() const;

  const ForkHandlers handlers_;
  Mutex* const held_;
  // A list that is sorted by rank.
  AtFork* lower_ = nullptr;
  AtFork* higher_ = nullptr;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_FORK_H_
