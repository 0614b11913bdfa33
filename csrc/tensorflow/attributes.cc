#include "tensorflow/attributes.h"

#include <algorithm>
#include <cstddef>

#include "tensorflow/status.h"

namespace npyfast::tf {

Attributes::Size Attributes::SizeOf(const char* name) const {
  const Status status;
  Size size{};
  Api().TF_OpKernelConstruction_GetAttrSize(context_, name, &size.items, &size.bytes, status.get());
  status.Check();
  // -1 for what has no such size.
  return {std::max(size.items, 0), std::max(size.bytes, 0)};
}

bool Attributes::Bool(const char* name) const {
  const Status status;
  unsigned char value = 0;
  Api().TF_OpKernelConstruction_GetAttrBool(context_, name, &value, status.get());
  status.Check();
  return value != 0;
}

int64_t Attributes::Int(const char* name) const {
  const Status status;
  int64_t value = 0;
  Api().TF_OpKernelConstruction_GetAttrInt64(context_, name, &value, status.get());
  status.Check();
  return value;
}

std::string Attributes::String(const char* name) const {
  const Status status;
  std::string value(static_cast<size_t>(SizeOf(name).bytes), '\0');
  Api().TF_OpKernelConstruction_GetAttrString(context_, name, value.data(), value.size(),
                                              status.get());
  status.Check();
  return value;
}

std::vector<int64_t> Attributes::Ints(const char* name) const {
  const Status status;
  std::vector<int64_t> values(static_cast<size_t>(SizeOf(name).items));
  Api().TF_OpKernelConstruction_GetAttrInt64List(context_, name, values.data(),
                                                 static_cast<int>(values.size()), status.get());
  status.Check();
  return values;
}

std::vector<std::string> Attributes::Strings(const char* name) const {
  const Status status;
  const Size size = SizeOf(name);
  const auto items = static_cast<size_t>(size.items);
  std::vector<char*> values(items);
  std::vector<size_t> lengths(items);
  std::string storage(static_cast<size_t>(size.bytes), '\0');
  Api().TF_OpKernelConstruction_GetAttrStringList(context_, name, values.data(), lengths.data(),
                                                  size.items, storage.data(), storage.size(),
                                                  status.get());
  status.Check();
  std::vector<std::string> strings;
  for (size_t i = 0; i < items; ++i) strings.emplace_back(values[i], lengths[i]);
  return strings;
}

std::vector<TF_DataType> Attributes::Types(const char* name) const {
  const Status status;
  std::vector<TF_DataType> values(static_cast<size_t>(SizeOf(name).items));
  Api().TF_OpKernelConstruction_GetAttrTypeList(context_, name, values.data(),
                                                static_cast<int>(values.size()), status.get());
  status.Check();
  return values;
}

}  // namespace npyfast::tf
