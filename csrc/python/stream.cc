#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/os/recent_limits.h"
#include "core/stream/batch_stream.h"
#include "python/errors.h"
#include "python/gather.h"
#include "python/gil.h"
#include "python/owned.h"
#include "python/register.h"
#include "python/to_numpy.h"

namespace npyfast::python {
namespace {

namespace py = pybind11;

// The longest time that Ctrl-C waits while no batch is ready.
constexpr std::chrono::milliseconds kSignalCheck(50);

// npyfast._core.Stream: an iterator of batches.
class PyStream {
 public:
  PyStream(const std::vector<const PyGather*>& leaves, const Plan& plan, const Run& run,
           const BatchStream::Options& options, py::object pack)
      : pack_(std::move(pack)), grouped_(run.group > 1), options_(options) {
    std::vector<std::shared_ptr<const Gather>> gathers;
    for (const PyGather* leaf : leaves) {
      gathers.push_back(leaf->gather);
      columns_.insert(columns_.end(), leaf->columns.begin(), leaf->columns.end());
    }
    const GilReleased released;  // making a stream checks files, which may take long
    if (options_.threads == 0) options_.threads = UsualThreads(gathers);
    auto maker = std::make_shared<BatchBuilder>(std::move(gathers), plan, run);
    stream_ = std::make_shared<BatchStream>(std::move(maker), options_);
  }

  ~PyStream() { Drop(std::move(stream_)); }

  PyStream(const PyStream&) = delete;
  PyStream& operator=(const PyStream&) = delete;

  // A new reference; or null, with an error set unless the stream has ended.
  PyObject* Next() {
    if (interrupted_) return CallPack(std::exchange(interrupted_, py::object())).release().ptr();
    Batch batch;
    BatchStream::Result result = stream_->TryNext(&batch);
    while (result == BatchStream::Result::kNotYet) {
      {
        const std::shared_ptr<BatchStream> stream = stream_;  // Restart() may replace it meanwhile
        const GilReleased released;
        result = stream->Next(&batch, kSignalCheck);
      }
      if (result == BatchStream::Result::kNotYet && PyErr_CheckSignals() != 0)
        throw py::error_already_set();
    }
    return result == BatchStream::Result::kEnd ? nullptr : Pack(batch).release().ptr();
  }

  void Close() {
    interrupted_ = py::object();
    stream_->Close();
  }
  int64_t position() const { return stream_->position() - (interrupted_ ? 1 : 0); }
  int64_t items() const { return stream_->maker().items(); }
  const Run& run() const { return stream_->maker().item_plan().run(); }

  // Continues with another run of the same plan, even if the stream was closed.
  void Restart(const Run& run) {
    std::shared_ptr<BatchStream> before = stream_;
    std::shared_ptr<BatchStream> stream;
    {
      const GilReleased released;  // as where the first one is made
      const BatchBuilder& maker = before->maker();
      stream = std::make_shared<BatchStream>(
          std::make_shared<BatchBuilder>(maker.leaves(), maker.plan(), run), options_);
    }
    stream_.swap(stream);
    interrupted_ = py::object();
    before = nullptr;
    Drop(std::move(stream));
  }

 private:
  // Without the GIL: a stream waits for its threads.
  static void Drop(std::shared_ptr<BatchStream> stream) {
    {
      const GilReleased released;
      stream = nullptr;
    }
    DropOrphans();
  }

  // The batch in the user's nest: the only array itself, a flat tuple, or the result of pack().
  py::object Pack(Batch& batch) {
    std::array<int64_t, 2> leading = {batch.rows, batch.rows};
    size_t dimensions = 1;
    if (grouped_) {
      leading = {batch.batches, batch.rows / batch.batches};
      dimensions = 2;
    }
    const std::span<const int64_t> shape(leading.data(), dimensions);
    if (columns_.size() == 1 && pack_.is_none())
      return ToNumpyArray(std::move(batch.columns[0]), columns_[0], shape);
    py::tuple arrays(columns_.size());
    for (size_t i = 0; i < columns_.size(); ++i)
      arrays[i] = ToNumpyArray(std::move(batch.columns[i]), columns_[i], shape);
    return pack_.is_none() ? py::object(std::move(arrays)) : CallPack(arrays);
  }

  // After an error that is not an Exception, such as KeyboardInterrupt, nothing was handed over:
  // the next call begins with the same arrays.
  py::object CallPack(const py::object& arrays) {
    PyObject* made = nullptr;
    try {
      // No C++ objects may be alive here: their destructors would run without the GIL.
      made = PyObject_CallObject(pack_.ptr(), arrays.ptr());
    } catch (...) {
      WaitForTheEnd();
    }
    if (made == nullptr) {
      if (PyErr_ExceptionMatches(PyExc_Exception) == 0) interrupted_ = arrays;
      throw py::error_already_set();
    }
    return py::reinterpret_steal<py::object>(made);
  }

  py::object pack_;
  py::object interrupted_;  // arrays that pack_ was called with, or null
  std::vector<ColumnSpec> columns_;
  const bool grouped_;
  BatchStream::Options options_;
  std::shared_ptr<BatchStream> stream_;  // never null
};

PyObject* IterNext(PyObject* self) {
  try {
    // Avoids the look-ups of a cast, which take longer for types that are derived in Python.
    auto* instance = reinterpret_cast<py::detail::instance*>(self);
    auto* stream = static_cast<PyStream*>(instance->get_value_and_holder().value_ptr());
    if (stream == nullptr) throw py::type_error("the stream has not been initialized");
    return stream->Next();
  } catch (...) {
    SetPythonError(std::current_exception());
    return nullptr;
  }
}

// The slots themselves: a Python-level __next__ would cost as much as a small batch.
void SetIteratorSlots(PyHeapTypeObject* type) {
  type->ht_type.tp_iter = PyObject_SelfIter;
  type->ht_type.tp_iternext = IterNext;
}

}  // namespace

void RegisterStream(py::module_& m) {
  py::class_<PyStream>(m, "Stream", py::custom_type_setup(SetIteratorSlots),
                       "Batches, made by threads ahead of their reader.")
      .def(py::init([](const std::vector<const PyGather*>& leaves, const Plan& plan,
                       uint64_t start_epoch, int64_t start_batch, int64_t epochs, int64_t group,
                       int threads, const std::string& readahead,
                       std::shared_ptr<Statistics> statistics, py::object pack) {
             return std::make_unique<PyStream>(
                 leaves, plan, Run{start_epoch, start_batch, epochs, group},
                 BatchStream::Options{.threads = threads,  // 0: the default number
                                      .readahead = ReadaheadModeOf(readahead),
                                      .statistics = std::move(statistics),
                                      .cpus = RecentUsableCpus()},
                 std::move(pack));
           }),
           py::kw_only(), py::arg("leaves"), py::arg("plan"), py::arg("start_epoch"),
           py::arg("start_batch"), py::arg("epochs"), py::arg("group"), py::arg("threads"),
           py::arg("readahead"), py::arg("statistics").none(false), py::arg("pack"))
      .def("close", &PyStream::Close)
      .def(
          "restart",
          [](PyStream& self, uint64_t start_epoch, int64_t start_batch, int64_t epochs) {
            self.Restart({start_epoch, start_batch, epochs, self.run().group});
          },
          py::kw_only(), py::arg("start_epoch"), py::arg("start_batch"), py::arg("epochs"))
      .def_property_readonly("run",
                             [](const PyStream& self) {
                               const Run& run = self.run();
                               return py::make_tuple(run.start_epoch, run.start_batch, run.epochs);
                             })
      .def_property_readonly("position", &PyStream::position)
      .def_property_readonly("items", &PyStream::items);
}

}  // namespace npyfast::python
