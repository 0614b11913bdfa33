#ifndef NPYFAST_PYTHON_OWNED_H_
#define NPYFAST_PYTHON_OWNED_H_

#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

namespace npyfast::python {

// A share of `owner`, for code that knows nothing of Python and may drop it on any thread, with or
// without the GIL. Dropped without it, the owner is kept until the interpreter comes to it, which
// is soon, or until DropOrphans(). REQUIRES: the GIL. Throws std::bad_alloc.
std::shared_ptr<void> Own(pybind11::object owner);

// Memory of `owner`, which is kept with it.
template <typename T, typename Element>
std::shared_ptr<T> OwnMemory(pybind11::object owner, Element* memory) {
  return {Own(std::move(owner)), memory};
}

// Gives back what was dropped without the GIL until now. REQUIRES: the GIL.
void DropOrphans();

}  // namespace npyfast::python

#endif  // NPYFAST_PYTHON_OWNED_H_
