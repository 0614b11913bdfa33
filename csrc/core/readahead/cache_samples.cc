#include "core/readahead/cache_samples.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <random>

#include "core/os/page_cache.h"

namespace npyfast {
namespace {

constexpr int kSamples = 32;

// One page may have been evicted by itself; two are a sign.
constexpr int kMostMissing = 1;

std::minstd_rand NewRandom() {
  // Calls within one tick of the clock look at different rows, too.
  static std::atomic<uint32_t> calls{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return std::minstd_rand(static_cast<uint32_t>(now) + calls.fetch_add(1));
}

// A byte of a row in its file; or, of rows that are spread over it, as in Fortran order, the byte
// at the proportional place.
int64_t OffsetOf(const Array& array, size_t file, int64_t row) {
  const FileRows& rows = array.file_rows()[file];
  const int64_t size = array.file(file).size();
  const int64_t offset = array.has_dense_rows()
                             ? rows.data_offset + rows.OffsetOf(row - rows.first_row)
                             : static_cast<int64_t>(static_cast<double>(size) *
                                                    static_cast<double>(row - rows.first_row) /
                                                    static_cast<double>(rows.rows));
  return std::min(offset, size - 1);
}

}  // namespace

bool SeemsResident(const Array& array, int64_t first_row, int64_t end_row, bool if_unknown) {
  SeenRows& seen = array.residency().seen;
  if (seen.Cover(first_row, end_row)) return true;
  std::minstd_rand random = NewRandom();
  std::map<size_t, PageCache> caches;
  int missing = 0;
  for (int i = 0; i < kSamples; ++i) {
    const auto row = first_row + static_cast<int64_t>((uint64_t{random()} << 31 | random()) %
                                                      static_cast<uint64_t>(end_row - first_row));
    const size_t file = array.FileOf(row);
    const PageCache& cache = caches.try_emplace(file, array.file(file)).first->second;
    const double share = cache.Share(OffsetOf(array, file, row), 1);
    if (share < 0) return if_unknown;
    missing += share > 0 ? 0 : 1;
    if (missing > kMostMissing) return false;
  }
  seen.Remember(first_row, end_row);
  return true;
}

}  // namespace npyfast
