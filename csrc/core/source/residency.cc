#include "core/source/residency.h"

#include <atomic>

namespace npyfast {
namespace {

std::atomic<int64_t> total_bytes{0};

}  // namespace

std::mutex Residency::mutex;

Residency::~Residency() { total_bytes -= counted_bytes; }

int64_t Residency::TotalBytes() { return total_bytes; }

void Residency::Count(int64_t bytes) {
  total_bytes += bytes - counted_bytes;
  counted_bytes = bytes;
}

}  // namespace npyfast
