#include "core/os/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "tests/core/support/check.h"
#include "tests/core/support/npy_file.h"

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

TEST(MappedFile, IsFoundAgainFromAnotherFolder) {
  const TempFolder folder;
  WriteFile(folder / "a", "what it holds");
  IN_CHILD([&folder] {
    CHECK_EQ(::chdir((folder / ".").c_str()), 0);
    const MappedFile now("a");
    const MappedFile later("a", StampOf("a"));
    CHECK_EQ(::chdir("/"), 0);
    CHECK_EQ(now.path(), "a");
    CHECK_EQ(Content(later), "what it holds");
    CHECK_EQ(::truncate((folder / "a").c_str(), 4), 0);
    CHECK_THROWS(now.CheckUnchanged(), FormatError, "a: has 4 bytes now");
  });
}

TEST(MappedFile, WaitsForWhoHasALease) {
  const TempFolder folder;
  const std::string path = folder / "a";
  WriteFile(path, "what it holds");
  int told[2];
  CHECK_EQ(::pipe(told), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGIO);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    const int file = ::open(path.c_str(), O_RDWR);
    const char leased = ::fcntl(file, F_SETLEASE, F_WRLCK) == 0 ? 'y' : 'n';
    static_cast<void>(!::write(told[1], &leased, 1));
    int signal;
    if (leased == 'y') ::sigwait(&signals, &signal);  // somebody opens it
    ::usleep(20'000);
    ::_exit(0);  // which gives it up
  }
  char leased = 0;
  CHECK_EQ(::read(told[0], &leased, 1), 1);
  ::close(told[0]);
  ::close(told[1]);
  const int code = leased == 'y' ? CodeOf(path) : 0;
  CHECK_EQ(::waitpid(child, nullptr, 0), child);
  if (leased != 'y') SKIP("this filesystem has no leases");
  CHECK_EQ(code, 0);
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

// --- Files that are mapped later.

TEST(MappedFile, IsMappedWhenItsBytesAreAskedFor) {
  const TempFolder folder;
  WriteFile(folder / "a", "what it holds");
  const MappedFile file(folder / "a", StampOf(folder / "a"));
  CHECK_EQ(file.size(), 13);
  CHECK(!file.Holds(nullptr));
  const std::byte* data = file.data();
  CHECK_EQ(Content(file), "what it holds");
  CHECK(file.data() == data);
  CHECK(file.Holds(data) && file.Holds(data + 12) && !file.Holds(data + 13));
  CHECK(!file.Holds(data - 1));
  // From then on it keeps the file.
  CHECK_EQ(::unlink((folder / "a").c_str()), 0);
  CHECK_EQ(Content(file), "what it holds");
}

TEST(MappedFile, IsMappedOnceWhoeverComesFirst) {
  const TempFolder folder;
  WriteFile(folder / "a", "what it holds");
  for (int round = 0; round < 50; ++round) {
    const MappedFile file(folder / "a", StampOf(folder / "a"));
    std::vector<const std::byte*> seen(8);
    std::vector<std::thread> threads;
    for (const std::byte*& place : seen) threads.emplace_back([&] { place = file.data(); });
    for (std::thread& thread : threads) thread.join();
    CHECK_EQ(seen, std::vector<const std::byte*>(8, file.data()));
  }
}

TEST(MappedFile, IsNotMappedIfItIsAnotherFileByThen) {
  const TempFolder folder;
  const std::string path = folder / "a";
  const auto code = [](const MappedFile& file) {
    try {
      file.data();
    } catch (const OsError& e) {
      CHECK_EQ(e.path(), file.path());
      return e.code();
    }
    return 0;
  };
  WriteFile(path, "old");
  const MappedFile removed(path, StampOf(path));
  CHECK_EQ(::unlink(path.c_str()), 0);
  CHECK_EQ(code(removed), ENOENT);
  WriteFile(path, "old");
  const MappedFile replaced(path, StampOf(path));
  WriteFile(folder / "b", "new");
  CHECK_EQ(::rename((folder / "b").c_str(), path.c_str()), 0);
  CHECK_EQ(code(replaced), ESTALE);
  CHECK_THROWS(replaced.data(), OsError, path + ": was changed or replaced after it was opened");
  const MappedFile truncated(path, StampOf(path));
  CHECK_EQ(::truncate(path.c_str(), 1), 0);
  CHECK_EQ(code(truncated), ESTALE);
}

// --- Reading without a mapping.

TEST(OpenFile, ReadsTheStartAndNoMore) {
  const TempFolder folder;
  WriteFile(folder / "a", std::string(100'000, 'x') + "end");
  const OpenFile file(folder / "a");
  CHECK_EQ(file.stamp().size, 100'003);
  CHECK_EQ(file.Start(0), "");
  CHECK_EQ(file.Start(7), std::string(7, 'x'));
  CHECK_EQ(file.Start(7), std::string(7, 'x'));
  CHECK_EQ(file.Start(200'000).size(), 100'003u);
  WriteFile(folder / "empty", "");
  CHECK_EQ(OpenFile(folder / "empty").Start(10), "");
  CHECK(OpenFile(folder / "empty").Map() == nullptr);
}

// Sets when a file was last changed.
void SetModified(const std::string& path, time_t seconds, long nanoseconds) {
  const timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
  CHECK_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

// Until the time of a change differs from that of what was done before: it has no finer steps.
void WaitForTheClock(const TempFolder& folder) {
  WriteFile(folder / "clock", "");
  const int64_t before = StampOf(folder / "clock").changed_ns;
  while (StampOf(folder / "clock").changed_ns == before) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    WriteFile(folder / "clock", "");
  }
}

TEST(CheckUnchanged, NamesATruncatedFileForEver) {
  const TempFolder folder;
  const std::string path = folder / "a";
  WriteFile(path, std::string(5000, 'x'));
  const MappedFile file(path);
  file.CheckUnchanged();
  WriteFile(folder / "other", std::string(6000, 'y'));
  file.CheckUnchanged();
  CHECK_EQ(::truncate(path.c_str(), 4999), 0);
  const std::string message =
      path +
      ": has 4,999 bytes now, 5,000 when it was opened: it was truncated while it was read; copy "
      "it again";
  CHECK_THROWS(file.CheckUnchanged(), FormatError, message);
  for (int i = 0; i < 3; ++i) CHECK_THROWS(file.CheckUnchanged(), FormatError, path);
  // Neither another file in its place nor that there is none makes it what it was.
  CHECK_EQ(::rename((folder / "other").c_str(), path.c_str()), 0);
  CHECK_THROWS(file.CheckUnchanged(), FormatError, message);
  CHECK_EQ(::unlink(path.c_str()), 0);
  CHECK_THROWS(file.CheckUnchanged(), FormatError, message);
}

TEST(CheckUnchanged, KnowsEveryChange) {
  const TempFolder folder;
  const std::string path = folder / "a";
  const auto changes = std::to_array<std::function<void()>>({
      [&] { WriteFile(path, "new"); },
      [&] { WriteFile(path, "longer"); },
      [&] { SetModified(path, 1'000, 6); },
      [&] { CHECK_EQ(::chmod(path.c_str(), 0600), 0); },
      [&] {  // of which the time of change alone tells
        WriteFile(path, "new");
        SetModified(path, 1'000, 5);
      },
  });
  for (const auto& change : changes) {
    WriteFile(path, "old");
    SetModified(path, 1'000, 5);
    MappedFile file(path);
    WaitForTheClock(folder);
    file.CheckUnchanged();
    change();
    CHECK_THROWS(file.CheckUnchanged(), OsError,
                 path + ": was changed after it was opened; make the dataset again");
    const MappedFile moved(std::move(file));
    CHECK_EQ(::unlink(path.c_str()), 0);
    CHECK_THROWS(moved.CheckUnchanged(), OsError, path);
  }
}

TEST(CheckUnchanged, AnotherFileOrNoneIsNoChange) {
  const TempFolder folder;
  const std::string path = folder / "a";
  WriteFile(path, "what it holds");
  const MappedFile file(path);
  WriteFile(folder / "b", "new");
  WaitForTheClock(folder);
  CHECK_EQ(::rename((folder / "b").c_str(), path.c_str()), 0);
  file.CheckUnchanged();
  CHECK_EQ(::unlink(path.c_str()), 0);
  file.CheckUnchanged();
}

// --- Many files at once.

TEST(ForEachFile, IsCalledOnceForEach) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{7}, size_t{64}, size_t{999}}) {
    std::vector<std::atomic<int>> calls(count);
    ForEachFile(count, [&](size_t i) { ++calls[i]; });
    for (const auto& called : calls) CHECK_EQ(called.load(), 1);
  }
}

TEST(ForEachFile, ThrowsTheErrorOfTheFirst) {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> failed{0};
    try {
      ForEachFile(100, [&](size_t i) {
        // The first one takes longest to fail.
        if (i == 13) std::this_thread::sleep_for(std::chrono::microseconds(100));
        if (i % 20 != 13) return;
        ++failed;
        throw Error("file " + std::to_string(i));
      });
      CHECK(false);
    } catch (const Error& e) {
      CHECK_EQ(std::string(e.what()), "file 13");
    }
    CHECK(failed.load() >= 1);
  }
}

// --- Stamps.

TEST(FileStamp, IsThatOfTheOpenedFile) {
  const TempFolder folder;
  WriteFile(folder / "a", "what it holds");
  SetModified(folder / "a", 1'700'000'000, 123'456'789);
  const MappedFile file(folder / "a");
  struct stat status;
  CHECK_EQ(::stat((folder / "a").c_str(), &status), 0);
  CHECK_EQ(file.stamp().device, status.st_dev);
  CHECK_EQ(file.stamp().inode, status.st_ino);
  CHECK_EQ(file.stamp().size, 13);
  CHECK_EQ(file.stamp().modified_ns, 1'700'000'000'123'456'789);
  CHECK_EQ(file.stamp().changed_ns, status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec);
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
  CHECK(StampOf(path) == old);
  SetModified(path, 1'000, 6);
  CHECK(!(StampOf(path) == old));
  SetModified(path, 1'001, 5);
  CHECK(!(StampOf(path) == old));
  // Written again, with the time of modification put back.
  WaitForTheClock(folder);
  WriteFile(path, "new");
  SetModified(path, 1'000, 5);
  CHECK_EQ(StampOf(path).modified_ns, old.modified_ns);
  CHECK_EQ(StampOf(path).size, old.size);
  CHECK(!(StampOf(path) == old));
  CHECK(StampOf(path).IsSameFile(old));
  // Another file in its place, alike in everything else.
  const MappedFile file(path);
  WriteFile(folder / "b", "new");
  SetModified(folder / "b", 1'000, 5);
  CHECK_EQ(::rename((folder / "b").c_str(), path.c_str()), 0);
  CHECK(!StampOf(path).IsSameFile(old));
  CHECK(file.stamp().IsSameFile(old));
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
