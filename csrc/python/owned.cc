#include "python/owned.h"

#include <atomic>
#include <utility>

namespace npyfast::python {
namespace {

namespace py = pybind11;

// An owner, and the next one of the orphans.
struct Owner {
  PyObject* object;
  Owner* next = nullptr;
};

// Dropped without the GIL. A list without a lock, which a forked child could find taken.
std::atomic<Owner*> orphans{nullptr};

void Delete(Owner* owner) {
  Py_DECREF(owner->object);
  delete owner;
}

int DropPending(void*) {
  DropOrphans();
  return 0;
}

// Never take the GIL here: this could wait forever for a thread that holds it and waits for this
// one, or for an interpreter that has ended.
void Drop(Owner* owner) noexcept {
  if (Py_IsInitialized() == 0) return;  // the process is ending: leak it
  if (PyGILState_Check() != 0) return Delete(owner);
  owner->next = orphans.load(std::memory_order_relaxed);
  while (!orphans.compare_exchange_weak(owner->next, owner, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
  // Refused if too many calls are pending; then the next DropOrphans() drops it.
  Py_AddPendingCall(DropPending, nullptr);
}

}  // namespace

std::shared_ptr<void> Own(py::object owner) {
  DropOrphans();
  auto* held = new Owner{owner.ptr()};
  static_cast<void>(owner.release());
  return std::shared_ptr<void>(held, Drop);  // which is called where there is no memory for it
}

void DropOrphans() {
  Owner* owner = orphans.exchange(nullptr, std::memory_order_acquire);
  while (owner != nullptr) {
    Owner* next = owner->next;
    Delete(owner);
    owner = next;
  }
}

}  // namespace npyfast::python
