#include "core/source/residency.h"

#include <atomic>

#include "core/os/fork.h"

namespace npyfast {
namespace {

std::atomic<int64_t> total_bytes{0};

const AtFork at_fork(ForkRank::kSource, Residency::mutex);

}  // namespace

Mutex Residency::mutex;

Residency::~Residency() { total_bytes -= counted_bytes; }

int64_t Residency::TotalBytes() { return total_bytes; }

void Residency::Count(int64_t bytes) {
  total_bytes += bytes - counted_bytes;
  counted_bytes = bytes;
}

}  // namespace npyfast
