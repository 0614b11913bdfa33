#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
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
  const TempFolder folder;
  const std::string path = folder / "a";
  WriteFile(path, "x");
  CHECK_EQ(::chmod((folder / ".").c_str(), 0755), 0);
  CHECK_EQ(::chmod(path.c_str(), 0), 0);
  IN_CHILD([&path] {
    // Root may read everything: become somebody else.
    if (::geteuid() == 0) CHECK_EQ(::setuid(65534), 0);
    CHECK_EQ(CodeOf(path), EACCES);
  });
}

// --- Stamps.

// Sets when a file was last changed.
void SetModified(const std::string& path, time_t seconds, long nanoseconds) {
  const timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
  CHECK_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST(FileStamp, IsThatOfTheOpenedFile) {
  const TempFolder folder;
  WriteFile(folder / "a", "what it holds");
  SetModified(folder / "a", 1'700'000'000, 123'456'789);
  const MappedFile file(folder / "a");
  struct stat status;
  CHECK_EQ(::stat((folder / "a").c_str(), &status), 0);
  CHECK_EQ(file.stamp().inode, status.st_ino);
  CHECK_EQ(file.stamp().size, 13);
  CHECK_EQ(file.stamp().modified_ns, 1'700'000'000'123'456'789);
  CHECK(StampOf(folder / "a") == file.stamp());
  // By another name it is the same file.
  CHECK_EQ(::symlink("a", (folder / "b").c_str()), 0);
  CHECK(StampOf(folder / "b") == file.stamp());
  WriteFile(folder / "empty", "");
  CHECK(StampOf(folder / "empty") == MappedFile(folder / "empty").stamp());
  CHECK_EQ(StampOf(folder / "empty").size, 0);
}

TEST(FileStamp, TellsOfEveryChange) {
  const TempFolder folder;
  const std::string path = folder / "a";
  WriteFile(path, "old");
  SetModified(path, 1'000, 5);
  const FileStamp old = StampOf(path);
  SetModified(path, 1'000, 6);
  CHECK(!(StampOf(path) == old));
  SetModified(path, 1'001, 5);
  CHECK(!(StampOf(path) == old));
  SetModified(path, 1'000, 5);
  CHECK(StampOf(path) == old);
  CHECK_EQ(::truncate(path.c_str(), 2), 0);
  SetModified(path, 1'000, 5);
  CHECK(!(StampOf(path) == old));
  // Another file in its place, alike in everything else.
  WriteFile(path, "old");
  SetModified(path, 1'000, 5);
  CHECK(StampOf(path) == old);
  const MappedFile file(path);
  WriteFile(folder / "b", "new");
  SetModified(folder / "b", 1'000, 5);
  CHECK_EQ(::rename((folder / "b").c_str(), path.c_str()), 0);
  CHECK(!(StampOf(path) == old));
  CHECK(file.stamp() == old);
}

TEST(FileStamp, MovesWithItsFile) {
  const TempFolder folder;
  WriteFile(folder / "a", "first");
  WriteFile(folder / "b", "second");
  const FileStamp first = StampOf(folder / "a");
  const FileStamp second = StampOf(folder / "b");
  MappedFile a(folder / "a");
  MappedFile b(std::move(a));
  CHECK(b.stamp() == first);
  b = MappedFile(folder / "b");
  CHECK(b.stamp() == second);
  CHECK_EQ(b.size(), 6);
}

TEST(FileStamp, AnyTimeWillDo) {
  const TempFolder folder;
  WriteFile(folder / "a", "x");
  // Before 1970, and later than 63 bits of nanoseconds say; some filesystems bring it closer.
  for (const time_t seconds : {time_t{-10}, time_t{1} << 33, time_t{1} << 36, time_t{1} << 60}) {
    SetModified(folder / "a", seconds, 7);
    CHECK(StampOf(folder / "a") == MappedFile(folder / "a").stamp());
  }
  SetModified(folder / "a", -10, 7);
  CHECK_EQ(StampOf(folder / "a").modified_ns, -9'999'999'993);
}

TEST(FileStamp, NamesWhatIsNotThere) {
  const TempFolder folder;
  WriteFile(folder / "a", "x");
  CHECK_THROWS(StampOf(folder / "missing"), OsError, folder / "missing");
  CHECK_THROWS(StampOf(folder / "missing"), OsError, std::strerror(ENOENT));
  CHECK_THROWS(StampOf(folder / "a/b"), OsError, std::strerror(ENOTDIR));
  CHECK_THROWS(StampOf(""), OsError, std::strerror(ENOENT));
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
