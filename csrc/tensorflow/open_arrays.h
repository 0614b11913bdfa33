#ifndef NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_
#define NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_

#include <memory>
#include <string>

#include "core/source/array.h"
#include "core/source/array_source.h"

namespace npyfast::tf {

// Opens the array of these files, as they were when a dataset was made. A process opens an array
// once: its users share it, and it stays open while it has users, and for a few more arrays.
//
// An array that is already open is checked now. A file that was changed since is an error, thrown
// as by Array::CheckFiles(). A file that was replaced or removed is not: the array still has the
// file that the dataset was made of.
//
// An array that is opened anew must, with `same_machine`, have the very files that the dataset was
// made of; on another machine, a copy of the same row type and number of rows. Files of one row are
// compared with the first of them at each read, and may change. Thread-safe. Throws what
// OpenArray() throws, and StatusError where a file was changed, was replaced, or is not the
// expected one.
std::shared_ptr<const Array> OpenShared(const ArrayFiles& files, bool same_machine);

// Throws StatusError that begins with `name` unless the array has the expected rows.
void CheckExpected(const Array& array, const ArrayFiles& expected, const std::string& name);

// Identifies this machine until its next start, together with the mount namespace of this process:
// containers have other files at the same paths. Empty if unknown.
std::string MachineId();

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_OPEN_ARRAYS_H_
