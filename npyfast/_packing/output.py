"""Files that come into being together: written under temporary names, and renamed when all is done.

The file NAME.partial beside an output NAME is locked (flock) as long as somebody writes it. An
output of one file is written to just that. Of an output of several, each is written to a
.partial of its own, and NAME.partial tells, while they are renamed, which ones they are: a process
that is killed then leaves some of them under their final names, and the next one removes these.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
from collections.abc import Container, Iterable, Iterator, Sequence
from types import TracebackType

from npyfast._errors import printable
from npyfast._packing.descriptor import (
    Folder,
    create,
    has_inode,
    held,
    inherit_permissions,
    is_locked,
    is_own_file,
    lock,
    look_at,
    rename_new,
)

_SUFFIX = ".partial"

_Identity = tuple[int, int, int]

_TRIES = 100
_LONGEST_LIST = 1 << 28  # bytes
_SCRATCH = re.compile(r"(\d+|rows)\.npy\.partial")
_REPLACED = "was replaced by another process while it was written"

_RENAMING = "npyfast pack: the files that are being renamed"


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Errors of the system inside name the file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def numbered_names(path: str, count: int) -> list[str]:
    """OUT-00000-of-00012.npy and so on, for OUT.npy."""
    stem = path.removesuffix(".npy")
    digits = max(5, len(str(count)))
    return [f"{stem}-{i:0{digits}}-of-{count:0{digits}}.npy" for i in range(count)]


class Output:
    """The output `path`, locked until the end of a `with` block; what was not committed is removed,
    and so is what a killed process has left of it.

    Others may write in its folder: only files of this user, with the names that pack gives, are
    removed, and no link is followed.

    Raises BlockingIOError where another process writes it, FileExistsError where something else has
    the name of a temporary file.
    """

    def __init__(self, path: str, *, overwrite: bool, inputs: Sequence[str] = ()) -> None:
        self._path = path
        self._folder = os.path.dirname(path) or "."
        self._overwrite = overwrite
        self._names: Sequence[str] = ()  # final ones
        self._written: dict[str, os.stat_result] = {}  # by their final names
        self._complete: list[_Identity] = []  # the files that are to have them, once all are there
        self._committed = False
        self._scratch: Folder | None = None
        if not os.path.isdir(self._folder):
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", self._folder)
        self._refuse_inputs(inputs)
        self._lock = self._locked()

    def __enter__(self) -> Output:
        try:
            self._remove_temporary()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock, contextlib.suppress(OSError):  # what remains, the next process removes
            try:
                if self._complete and not isinstance(error, Exception):
                    # Interrupted: all have their names, sooner than that none has, as files that
                    # were overwritten are gone.
                    self._rename()
            finally:
                if not self._committed:
                    self._roll_back()

    @property
    def scratch(self) -> str:
        """A folder beside the output for temporary files, which is made when it is needed and
        removed in any case."""
        return f"{self._path}.unpacked{_SUFFIX}"

    def create(self, name: str) -> io.FileIO:
        """The temporary file of an output, opened for writing."""
        if name == self._path:
            file = held(os.dup, self._lock.fileno())
        else:
            file = create(partial(name), self._mode(name))
        self._written[name] = os.fstat(file.fileno())
        return file

    def reopen(self, name: str) -> io.FileIO:
        """The same file, for reading. Raises OSError where another one has its name."""
        with naming(partial(name)):
            file = look_at(partial(name))
            if os.path.samestat(os.fstat(file.fileno()), self._written[name]):
                return file
            file.close()
            raise OSError(errno.ESTALE, _REPLACED)

    def create_scratch(self, path: str) -> io.FileIO:
        """A file in the scratch folder, opened for writing."""
        if self._scratch is None:
            try:
                os.mkdir(self.scratch, 0o700)
            except FileExistsError:
                raise FileExistsError(
                    errno.EEXIST, "is in the way of a temporary folder", self.scratch
                ) from None
            with naming(self.scratch):
                self._scratch = Folder(self.scratch)
        return create(os.path.basename(path), 0o600, self._scratch)

    def _mode(self, name: str) -> int:
        """The mode of a new file: nobody may read it yet who may not read what it replaces."""
        with contextlib.suppress(FileNotFoundError):
            if self._overwrite and stat.S_ISREG(os.lstat(name).st_mode):
                return 0o600
        return 0o666

    def check(self, names: Iterable[str], inputs: Iterable[str] = ()) -> None:
        """Raises FileExistsError where a file exists that is not to be overwritten, and ValueError
        where it is one of the inputs."""
        existing: dict[tuple[int, int], str] = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    raise IsADirectoryError(errno.EISDIR, "the output is a directory", name)
                existing[found.st_dev, found.st_ino] = name
        path = _one_of(inputs, existing)
        if path is not None:
            raise ValueError(printable(f"{path}: the output is one of the inputs; choose another"))
        if existing and not self._overwrite:
            name = next(iter(existing.values()))
            raise FileExistsError(
                errno.EEXIST, "exists already; overwrite=True (--overwrite) replaces it", name
            )

    def _refuse_inputs(self, inputs: Sequence[str]) -> None:
        """Raises ValueError where an input has the name of a temporary file, and would be lost."""
        temporary = [partial(self._path), *self._numbered(_SUFFIX)]
        if not os.path.islink(self.scratch):
            with contextlib.suppress(OSError):
                names = os.listdir(self.scratch)
                temporary += [os.path.join(self.scratch, name) for name in names]
        existing = set()
        for name in temporary:
            with contextlib.suppress(FileNotFoundError):
                existing.add(_place(name))
        path = _one_of(inputs, existing)
        if path is not None:
            raise ValueError(
                printable(
                    f"{path}: has the name of a temporary file of the output {self._path}: rename "
                    "it, "
                    "or choose another output"
                )
            )

    def begin(self, names: Sequence[str], inputs: Iterable[str], size: int) -> None:
        """Prepares for writing the files, of so many bytes together. Raises as `check` and
        `require`."""
        self.check(names, inputs)
        if list(names) != [self._path]:
            self._refuse_other_files(names)
        self._names = names
        self.require(size)

    def require(self, size: int) -> None:
        """Raises OSError (ENOSPC) where the filesystem has not that many bytes."""
        system = os.statvfs(self._folder)
        free = system.f_bavail * system.f_frsize
        if system.f_blocks and size > free:  # some filesystems tell nothing
            raise OSError(
                errno.ENOSPC, f"needs {size:,} bytes, and the disk has {free:,} left", self._path
            )

    def commit(self) -> None:
        """Gives all files, which are complete and on the disk, their final names."""
        if not self._overwrite:
            self.check(self._names)  # somebody may have been quicker
        self._remove_scratch()
        complete = []
        for name in self._names:
            with self.reopen(name) as file:
                complete.append(_identity(os.fstat(file.fileno())))
        if list(self._names) != [self._path]:
            self._tell_renamed(complete)
        self._complete = complete
        self._rename()

    def _rename(self) -> None:
        """Gives the complete files their names, but those that have them already."""
        if self._committed:
            return
        for name, identity in zip(self._names, self._complete, strict=True):
            if not _has(name, identity):
                self._rename_one(name)
            elif _has(partial(name), identity):
                os.unlink(partial(name))  # interrupted where it had both
        self._sync_folder()
        if list(self._names) != [self._path]:
            # Gone for good before anybody hears that all is done: the files it lists would be
            # removed the next time.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial(self._path))
            self._sync_folder()
        self._committed = True

    def _rename_one(self, name: str) -> None:
        with self.reopen(name) as file:
            if not self._overwrite:
                try:
                    rename_new(partial(name), name)
                except FileExistsError:
                    self.check([name])  # says what to do
                    raise
                return
            with contextlib.suppress(FileNotFoundError):
                old = os.lstat(name)
                if stat.S_ISREG(old.st_mode):
                    inherit_permissions(file, old)
            os.replace(partial(name), name)

    def _tell_renamed(self, complete: Sequence[_Identity]) -> None:
        """Writes down which files are about to be renamed."""
        bases = map(os.path.basename, self._names)
        files = [(base, *identity) for base, identity in zip(bases, complete, strict=True)]
        text = json.dumps({"what": _RENAMING, "files": files}).encode()
        lock = self._lock.fileno()
        with naming(partial(self._path)):
            os.ftruncate(lock, 0)
            os.lseek(lock, 0, os.SEEK_SET)
            while text:
                text = text[os.write(lock, text) :]
            os.fsync(lock)
        self._sync_folder()

    def _roll_back(self) -> None:
        """Removes what this process wrote. The lock comes last: as long as it is there, others
        know that something may be left."""
        if list(self._names) != [self._path]:  # renaming one file is one step
            for name, identity in zip(self._names, self._complete, strict=False):
                if _has(name, identity):
                    os.unlink(name)
        self._remove_temporary()
        if has_inode(partial(self._path), os.fstat(self._lock.fileno())):
            os.unlink(partial(self._path))

    def _remove_temporary(self) -> None:
        """Removes temporary files but the lock, of this process or one that was killed."""
        self._remove_scratch()
        for name in self._numbered(_SUFFIX):
            # "part-00000-of-00002.npy" may itself be what another process writes.
            with contextlib.suppress(FileNotFoundError):
                if is_own_file(os.lstat(name)) and not is_locked(name):
                    os.unlink(name)

    def _remove_scratch(self) -> None:
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
        try:
            found = os.lstat(self.scratch)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return  # it is in the way, once the folder is needed
        with Folder(self.scratch) as folder:
            names = os.listdir(folder.fileno())
            for name in filter(_SCRATCH.fullmatch, names):
                if is_own_file(os.stat(name, dir_fd=folder.fileno(), follow_symlinks=False)):
                    os.unlink(name, dir_fd=folder.fileno())
        try:
            os.rmdir(self.scratch)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _locked(self) -> io.FileIO:
        """Makes the lock, for this process alone. What a killed process left is removed before."""
        path = partial(self._path)
        for _ in range(_TRIES):
            try:
                made = create(path, self._mode(self._path))
            except FileExistsError:
                self._take_over(path)
                continue
            try:
                lock(made, path)
            except OSError:
                made.close()
                raise
            # One that took it for what a killed process left may have removed it.
            if has_inode(path, os.fstat(made.fileno())):
                return made
            made.close()
        raise BlockingIOError(errno.EWOULDBLOCK, "others keep making and removing it", path)

    def _take_over(self, path: str) -> None:
        """Removes the lock of a process that was killed, and what it renamed if it did not come to
        the end of that. Raises as the constructor."""
        try:
            if not is_own_file(os.lstat(path)):
                raise FileExistsError(
                    errno.EEXIST, "is in the way of a temporary file, and no file of yours", path
                )
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            left = held(os.open, path, flags)
        except FileNotFoundError:
            return
        with left:
            status = os.fstat(left.fileno())
            lock(left, path)
            # The one who had it locked may have renamed it meanwhile: then it is that one's output.
            if not (has_inode(path, status) and is_own_file(status)):
                return
            # A list that has a second name may be any file.
            for name in self._half_renamed(left) if status.st_nlink == 1 else []:
                os.unlink(name)
            self._remove_temporary()
            if has_inode(path, status):
                os.unlink(path)

    def _half_renamed(self, lock: io.FileIO) -> list[str]:
        """The files that a killed process renamed, if it did not come to the end of them. Raises
        ValueError where the list has others than a pack of this output writes."""
        if os.pread(lock.fileno(), 1, 0) != b"{" or os.fstat(lock.fileno()).st_size > _LONGEST_LIST:
            return []  # data
        with open(lock.fileno(), "rb", closefd=False) as file:
            try:
                told = json.loads(file.read())
                files = told["files"] if told["what"] == _RENAMING else []
            except (ValueError, KeyError, TypeError, RecursionError):
                return []  # it came not even to the beginning
        names = numbered_names(self._path, len(files)) if isinstance(files, list) else []
        expected = [[os.path.basename(name)] for name in names]
        if not names or [entry[:1] for entry in files if isinstance(entry, list)] != expected:
            raise ValueError(
                printable(
                    f"{partial(self._path)}: lists files that no pack of this output writes; "
                    "nothing "
                    "was removed: remove it by hand"
                )
            )
        return [
            name
            for name, entry in zip(names, files, strict=True)
            if _has(name, tuple(entry[1:])) and is_own_file(os.lstat(name))
        ]

    def _refuse_other_files(self, names: Sequence[str]) -> None:
        others = sorted(set(self._numbered("")) - set(names))
        if others:
            raise FileExistsError(
                errno.EEXIST,
                f"is left of an output of another number of files than {len(names)}, which "
                "would be mixed up with this one; remove it first",
                others[0],
            )

    def _numbered(self, suffix: str) -> list[str]:
        """The files in the folder that are files of this output, by their numbered names."""
        stem = os.path.basename(self._path).removesuffix(".npy")
        pattern = re.compile(re.escape(stem) + r"-\d{5,}-of-\d{5,}\.npy" + re.escape(suffix))
        with os.scandir(self._folder) as entries:
            found = [entry.name for entry in entries if pattern.fullmatch(entry.name)]
        # As numbered_names() has it: of "OUT.npy" they are "OUT-...", not "./OUT-...".
        folder = os.path.dirname(self._path)
        return [os.path.join(folder, name) for name in found]

    def _sync_folder(self) -> None:
        with (
            naming(self._folder),
            Folder(self._folder, more=0) as folder,
        ):
            os.fsync(folder.fileno())


def partial(name: str) -> str:
    """The temporary name of a file."""
    return name + _SUFFIX


def _place(path: str) -> tuple[int, int]:
    """What tells the file that a path leads to from every other."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _one_of(inputs: Iterable[str], existing: Container[tuple[int, int]]) -> str | None:
    """The first of the inputs that is one of these files, of which there are usually none."""
    for path in inputs if existing else ():
        with contextlib.suppress(FileNotFoundError):
            if _place(path) in existing:
                return path
    return None


def _identity(status: os.stat_result) -> _Identity:
    """What a file keeps when it is renamed, and shares with no other."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def _has(name: str, identity: tuple[object, ...]) -> bool:
    """Whether this file has the name."""
    try:
        return _identity(os.lstat(name)) == identity
    except FileNotFoundError:
        return False
