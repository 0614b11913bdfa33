#include "core/source/row_runs.h"

#include <algorithm>

namespace npyfast {

namespace {

// A row in more runs than this is left to the kernel; and so is one in shorter runs, unless it is
// one.
constexpr int64_t kMostRuns = 4096;
constexpr int64_t kLeastRunBytes = 64;

}  // namespace

bool RowRuns::AreWorthwhile() const {
  return count == 1 || (count <= kMostRuns && bytes >= kLeastRunBytes);
}

RowRuns RunsOf(const Array& array, size_t file) {
  const FileRows& rows = array.file_rows()[file];
  RowRuns runs;
  if (rows.row_bytes == 0) return runs;
  std::vector<PlaceAxis> axes;
  for (size_t i = 0; i < rows.strides.size(); ++i)
    if (array.row_shape()[i] > 1) axes.push_back({array.row_shape()[i], rows.strides[i]});
  std::sort(axes.begin(), axes.end(),
            [](const PlaceAxis& a, const PlaceAxis& b) { return a.stride < b.stride; });
  runs.bytes = array.dtype().itemsize;
  for (const PlaceAxis& axis : axes) {
    if (runs.axes.empty() && axis.stride - runs.bytes < kMostBetweenRows) {
      runs.bytes += (axis.count - 1) * axis.stride;
    } else {
      runs.axes.insert(runs.axes.begin(), axis);
      runs.count *= axis.count;
    }
  }
  return runs;
}

RowImage ImageOf(const Array& array, size_t file) {
  RowImage image;
  image.runs = RunsOf(array, file);
  image.strides = array.file_rows()[file].strides;
  image.bytes = image.runs.bytes;
  image.run_strides.resize(image.runs.axes.size());
  for (size_t axis = image.runs.axes.size(); axis-- > 0;) {
    const auto& [count, stride] = image.runs.axes[axis];
    // A run may begin or end anywhere in a block: two blocks between runs keep them apart.
    const int64_t more = stride - image.bytes - 2 * RowImage::kUnit;
    const int64_t closer = stride - std::max<int64_t>(more / RowImage::kUnit, 0) * RowImage::kUnit;
    image.run_strides[axis] = closer;
    image.bytes += (count - 1) * closer;
    // No two dimensions of a row in a file have one stride, but for those of one step.
    for (size_t i = 0; i < image.strides.size(); ++i)
      if (array.row_shape()[i] > 1 && array.file_rows()[file].strides[i] == stride)
        image.strides[i] = closer;
  }
  return image;
}

}  // namespace npyfast
