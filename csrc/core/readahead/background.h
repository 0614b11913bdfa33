#ifndef NPYFAST_CORE_READAHEAD_BACKGROUND_H_
#define NPYFAST_CORE_READAHEAD_BACKGROUND_H_

#include <chrono>
#include <memory>

namespace npyfast {

// Owns something with a thread of its own, which has a reference to it: what the thread needs stays
// as long as it does. Worker::End(most) stops the thread, and waits for it no longer than `most`.
template <typename Worker>
struct Ender {
  std::shared_ptr<Worker> self = nullptr;
  std::chrono::milliseconds most = std::chrono::hours(24);
  void operator()(Worker* worker) {
    worker->End(most);
    self = nullptr;
  }
};

template <typename Worker>
using BackgroundHandle = std::unique_ptr<Worker, Ender<Worker>>;

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_BACKGROUND_H_
