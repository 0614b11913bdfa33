#include "core/os/async_reader.h"

namespace npyfast {

const char* ReadMethodName(ReadMethod method) {
  switch (method) {
    case ReadMethod::kIoUring:
      return "io_uring";
    case ReadMethod::kAio:
      return "aio";
    case ReadMethod::kThreads:
      return "threads";
  }
  return "";
}

std::unique_ptr<AsyncReader> AsyncReader::Make(ReadMethod best, int depth,
                                               std::span<std::byte> buffers) {
  std::unique_ptr<AsyncReader> reader;
  if (best == ReadMethod::kIoUring) reader = MakeIoUringReader(depth, buffers);
  if (reader == nullptr && best != ReadMethod::kThreads) reader = MakeAioReader(depth);
  return reader != nullptr ? std::move(reader) : MakeThreadReader(depth);
}

ReadMethod MethodFrom(ReadMethod best) {
  if (best == ReadMethod::kIoUring && MakeIoUringReader(1, {}) != nullptr) return best;
  if (best != ReadMethod::kThreads && MakeAioReader(1) != nullptr) return ReadMethod::kAio;
  return ReadMethod::kThreads;
}

#if !defined(__linux__)

std::unique_ptr<AsyncReader> MakeIoUringReader(int, std::span<std::byte>) { return nullptr; }
std::unique_ptr<AsyncReader> MakeAioReader(int) { return nullptr; }

#endif

}  // namespace npyfast
