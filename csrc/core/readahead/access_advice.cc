#include "core/readahead/access_advice.h"

#include "core/os/file.h"

namespace npyfast {

void ExpectRandom(const Array& array, bool random) {
  for (const size_t file : array.residency().advice.Expect(random, array.file_rows().size()))
    array.file(file).Advise(0, array.file(file).size(), MappedFile::Advice::kNormal);
}

void AdviseIfRandom(const Array& array, size_t file) {
  if (!array.residency().advice.ShouldTell(file)) return;
  array.file(file).Advise(0, array.file(file).size(), MappedFile::Advice::kRandom);
}

}  // namespace npyfast
