#include "core/os/fork.h"

#include <pthread.h>

#include <atomic>
#include <mutex>

namespace npyfast {

// Usable before any constructor of this file has run: other files register at load, too.
struct ForkRegistry {
  // Held during fork(), so that the handlers that run after it are those that ran before it.
  static constinit inline std::mutex mutex;
  static constinit inline AtFork* lowest = nullptr;
  static constinit inline AtFork* highest = nullptr;
  static constinit inline bool installed = false;

  static void Prepare() {
    mutex.lock();
    for (const AtFork* at = highest; at != nullptr; at = at->lower_) Call(at->handlers_.prepare);
  }

  static void Parent() {
    for (const AtFork* at = lowest; at != nullptr; at = at->higher_) Call(at->handlers_.parent);
    mutex.unlock();
  }

  static void Child() {
    for (const AtFork* at = lowest; at != nullptr; at = at->higher_) Call(at->handlers_.child);
    mutex.unlock();
  }

  static void Call(void (*handler)()) {
    if (handler != nullptr) handler();
  }

  static void Add(AtFork* added) {
    const std::lock_guard lock(mutex);
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

AtFork::AtFork(const ForkHandlers& handlers) : handlers_(handlers) { ForkRegistry::Add(this); }

uint64_t ForkGeneration() { return generation.load(std::memory_order_relaxed); }

}  // namespace npyfast
