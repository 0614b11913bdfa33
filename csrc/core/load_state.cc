#include "core/load_state.h"

#include <atomic>

namespace npyfast {
namespace {

std::atomic<int64_t> total_bytes{0};

}  // namespace

std::mutex LoadState::mutex;

LoadState::~LoadState() { total_bytes -= counted_bytes; }

int64_t LoadState::TotalBytes() { return total_bytes; }

void LoadState::Count(int64_t bytes) {
  total_bytes += bytes - counted_bytes;
  counted_bytes = bytes;
}

}  // namespace npyfast
