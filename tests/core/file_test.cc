#include "core/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "check.h"
#include "core/errors.h"
#include "npy_file.h"

namespace npyfast {
namespace {

using testing::AsText;
using testing::TempFolder;
using testing::WriteFile;

std::string Content(const MappedFile& file) {
  return std::string(AsText({file.data(), static_cast<size_t>(file.size())}));
}

// The errno of opening `path`; 0 if that works.
int CodeOf(const std::string& path) {
  try {
    const MappedFile file(path);
  } catch (const OsError& e) {
    CHECK_EQ(e.path(), path);
    return e.code();
  }
  return 0;
}

TEST(MappedFile, HoldsTheBytesOfTheFile) {
  const TempFolder folder;
  WriteFile(folder / "a", "what it holds");
  const MappedFile file(folder / "a");
  CHECK_EQ(file.size(), 13);
  CHECK_EQ(Content(file), "what it holds");
}

TEST(MappedFile, OutlivesTheNameAndItsReplacement) {
  const TempFolder folder;
  WriteFile(folder / "a", "old");
  const MappedFile file(folder / "a");
  WriteFile(folder / "b", "new");
  CHECK_EQ(::rename((folder / "b").c_str(), (folder / "a").c_str()), 0);
  CHECK_EQ(Content(file), "old");
  CHECK_EQ(::unlink((folder / "a").c_str()), 0);
  CHECK_EQ(Content(file), "old");
}

TEST(MappedFile, MayBeEmpty) {
  const TempFolder folder;
  WriteFile(folder / "a", "");
  const MappedFile file(folder / "a");
  CHECK_EQ(file.size(), 0);
  CHECK(file.data() == nullptr);
}

TEST(MappedFile, Moves) {
  const TempFolder folder;
  WriteFile(folder / "a", "first");
  WriteFile(folder / "b", "second");
  MappedFile a(folder / "a");
  MappedFile b(std::move(a));
  CHECK_EQ(Content(b), "first");
  a = MappedFile(folder / "b");
  CHECK_EQ(Content(a), "second");
  b = std::move(a);
  CHECK_EQ(Content(b), "second");
}

TEST(MappedFile, HoldsNoDescriptor) {
  const TempFolder folder;
  WriteFile(folder / "a", "x");
  const int before = ::dup(0);
  ::close(before);
  const MappedFile file(folder / "a");
  const int after = ::dup(0);
  ::close(after);
  CHECK_EQ(after, before);
}

TEST(MappedFile, NamesWhatCannotBeOpened) {
  const TempFolder folder;
  CHECK_EQ(CodeOf(folder / "missing"), ENOENT);
  CHECK_EQ(CodeOf(folder / "."), EISDIR);
  WriteFile(folder / "a", "x");
  CHECK_EQ(CodeOf(folder / "a/b"), ENOTDIR);
  CHECK_THROWS(MappedFile(folder / "missing"), OsError, folder / "missing");
  CHECK_THROWS(MappedFile(folder / "missing"), OsError, std::strerror(ENOENT));
}

TEST(MappedFile, DoesNotWaitForTheWriterOfAFifo) {
  const TempFolder folder;
  CHECK_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  CHECK_EQ(CodeOf(folder / "fifo"), EINVAL);
  CHECK_EQ(CodeOf("/dev/null"), EINVAL);
}

TEST(MappedFile, RespectsPermissions) {
  if (::geteuid() == 0) SKIP("root may read everything");
  const TempFolder folder;
  WriteFile(folder / "a", "x");
  CHECK_EQ(::chmod((folder / "a").c_str(), 0), 0);
  CHECK_EQ(CodeOf(folder / "a"), EACCES);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
