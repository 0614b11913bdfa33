#include "tensorflow/status.h"

#include <unistd.h>

#include <cerrno>
#include <new>

namespace npyfast::tf {
namespace {

TF_Code CodeOf(int system_error) {
  switch (system_error) {
    case ENOENT:
    case ENOTDIR:
      return TF_NOT_FOUND;
    case EACCES:
    case EPERM:
      return TF_PERMISSION_DENIED;
    case EISDIR:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
      return TF_INVALID_ARGUMENT;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
      return TF_RESOURCE_EXHAUSTED;
    case EIO:
      return TF_DATA_LOSS;
    case ESTALE:
      return TF_FAILED_PRECONDITION;
    default:  // ETIMEDOUT and other errors of network file systems
      return TF_UNAVAILABLE;
  }
}

// Graphs travel: an error must name the machine that lacks the file.
std::string HostName() {
  char name[256] = "";
  if (::gethostname(name, sizeof name - 1) != 0) return "this machine";
  return name;
}

}  // namespace

StatusError ForeignCheckpoint(const std::string& file) {
  return {TF_FAILED_PRECONDITION,
          file +
              ": the iterator was restored from a checkpoint of another dataset: its files (their "
              "rows, types or order), batch_size, shuffle or block sizes, seed, rows, "
              "drop_remainder, shard, start or version of the order differ (without a seed, each "
              "dataset draws its own: pass seed to resume)"};
}

void Status::Check() const {
  const TF_Code code = Api().TF_GetCode(status_);
  if (code != TF_OK) throw StatusError(code, Api().TF_Message(status_));
}

void Status::Set(const std::exception_ptr& error) {
  const auto set = [this](TF_Code code, const char* message) {
    Api().TF_SetStatus(status_, code, message);
  };
  try {
    std::rethrow_exception(error);
  } catch (const StatusError& e) {
    set(e.code(), e.what());
  } catch (const OsError& e) {
    set(CodeOf(e.code()), (std::string(e.what()) + " (on " + HostName() + ")").c_str());
  } catch (const FormatError& e) {
    set(TF_DATA_LOSS, e.what());
  } catch (const IndexError& e) {
    set(TF_OUT_OF_RANGE, e.what());
  } catch (const Error& e) {
    set(TF_INVALID_ARGUMENT, e.what());
  } catch (const std::bad_alloc&) {
    set(TF_RESOURCE_EXHAUSTED, "npyfast: out of memory for a batch");
  } catch (const std::exception& e) {
    set(TF_INTERNAL, (std::string("npyfast: ") + e.what()).c_str());
  }
}

}  // namespace npyfast::tf
