#include "core/os/fork.h"

#include <pthread.h>

#include <atomic>

namespace npyfast {
namespace {

std::atomic<uint64_t> generation{0};

[[maybe_unused]] const int registered =
    ::pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });

}  // namespace

uint64_t ForkGeneration() { return generation.load(std::memory_order_relaxed); }

}  // namespace npyfast
