#include "core/os/fork.h"

#include <pthread.h>

#include <atomic>

#include "core/os/mutex.h"

namespace npyfast {

// Usable before any constructor of this file has run: other files register at load, too.
struct ForkRegistry {
  // Held during fork(), so that the handlers that run after it are those that ran before it.
  static constinit inline Mutex mutex;
  static constinit inline AtFork* lowest GUARDED_BY(mutex) = nullptr;
  static constinit inline AtFork* highest GUARDED_BY(mutex) = nullptr;
  static constinit inline bool installed GUARDED_BY(mutex) = false;

  static void Prepare() ACQUIRE(mutex) {
    mutex.lock();
    for (const AtFork* at = highest; at != nullptr; at = at->lower_) at->Prepare();
  }

  static void Parent() RELEASE(mutex) {
    for (const AtFork* at = lowest; at != nullptr; at = at->higher_) at->Parent();
    mutex.unlock();
  }

  static void Child() RELEASE(mutex) {
    for (const AtFork* at = lowest; at != nullptr; at = at->higher_) at->Child();
    mutex.unlock();
  }

  static void Add(AtFork* added) {
    const MutexLock lock(mutex);
    AtFork* above = lowest;
    while (above != nullptr && above->handlers_.rank <= added->handlers_.rank)
      above = above->higher_;
    AtFork* const below = above != nullptr ? above->lower_ : highest;
    added->higher_ = above;
    added->lower_ = below;
    (above != nullptr ? above->lower_ : highest) = added;
    (below != nullptr ? below->higher_ : lowest) = added;
    if (!installed) installed = ::pthread_atfork(Prepare, Parent, Child) == 0;
  }
};

namespace {

std::atomic<uint64_t> generation{0};

const AtFork at_fork({.rank = ForkRank::kOs,
                      .child = [] { generation.fetch_add(1, std::memory_order_relaxed); }});

}  // namespace

AtFork::AtFork(const ForkHandlers& handlers, Mutex* held) : handlers_(handlers), held_(held) {
  ForkRegistry::Add(this);
}

// The compiler cannot follow that Prepare() takes what the others release.
void AtFork::Prepare() const NO_THREAD_SAFETY_ANALYSIS {
  if (handlers_.prepare != nullptr) handlers_.prepare();
  if (held_ != nullptr) held_->lock();
}

void AtFork::Parent() const NO_THREAD_SAFETY_ANALYSIS {
  if (held_ != nullptr) held_->unlock();
  if (handlers_.parent != nullptr) handlers_.parent();
}

void AtFork::Child() const NO_THREAD_SAFETY_ANALYSIS {
  if (held_ != nullptr) held_->unlock();
  if (handlers_.child != nullptr) handlers_.child();
}

uint64_t ForkGeneration() { return generation.load(std::memory_order_relaxed); }

}  // namespace npyfast
