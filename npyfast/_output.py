"""Files that come into being together: written under temporary names, and renamed when all is done.

The file NAME.partial beside an output NAME is locked (flock) as long as somebody writes it. An
output of one file is written to just that. Of an output of several, each is written to a
.partial of its own, and NAME.partial tells, while they are renamed, which ones they are: a process
that is killed then leaves some of them under their final names, and the next one removes these.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Container, Iterable, Iterator, Sequence
from types import TracebackType

_SUFFIX = ".partial"

# What flock() says where a filesystem has no locks; nobody else is then kept away.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

_Identity = tuple[int, int, int]

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


def shard_names(path: str, count: int) -> list[str]:
    """OUT-00000-of-00012.npy and so on, for OUT.npy."""
    stem = path.removesuffix(".npy")
    digits = max(5, len(str(count)))
    return [f"{stem}-{i:0{digits}}-of-{count:0{digits}}.npy" for i in range(count)]


class Output:
    """The output `path`, locked until the end of a `with` block; what was not committed is removed,
    and so is what a killed process has left of it.

    Raises BlockingIOError where another process writes it.
    """

    def __init__(self, path: str, *, overwrite: bool, inputs: Sequence[str] = ()) -> None:
        self._path = path
        self._folder = os.path.dirname(path) or "."
        self._overwrite = overwrite
        self._names: Sequence[str] = ()  # final ones
        self._complete: list[_Identity] = []  # the files that are to have them, once all are there
        self._committed = False
        if not os.path.isdir(self._folder):
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", self._folder)
        self._refuse_inputs(inputs)
        self._lock = _lock(path + _SUFFIX)

    def __enter__(self) -> Output:
        try:
            self._roll_back()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with contextlib.suppress(OSError):  # what remains, the next process removes
                if self._complete and not isinstance(error, Exception):
                    # Interrupted: all have their names, sooner than that none has, as files that
                    # were overwritten are gone.
                    self._rename()
                if not self._committed:
                    self._roll_back()
                    if _is(self._lock, partial(self._path)):
                        os.unlink(partial(self._path))
        finally:
            os.close(self._lock)

    @property
    def scratch(self) -> str:
        """A folder beside the output for temporary files, which is made when it is needed and
        removed in any case."""
        return f"{self._path}.unpacked{_SUFFIX}"

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
            raise ValueError(f"{path}: the output is one of the inputs; choose another")
        if existing and not self._overwrite:
            name = next(iter(existing.values()))
            raise FileExistsError(
                errno.EEXIST, "exists already; overwrite=True (--overwrite) replaces it", name
            )

    def _refuse_inputs(self, inputs: Sequence[str]) -> None:
        """Raises ValueError where an input has the name of a temporary file, and would be lost."""
        temporary = [partial(self._path), *self._shards(_SUFFIX)]
        for folder, _, names in os.walk(self.scratch):
            temporary += [os.path.join(folder, name) for name in names]
        existing = set()
        for name in temporary:
            with contextlib.suppress(FileNotFoundError):
                existing.add(_place(name))
        path = _one_of(inputs, existing)
        if path is not None:
            raise ValueError(
                f"{path}: has the name of a temporary file of the output {self._path}: rename it, "
                "or choose another output"
            )

    def begin(self, names: Sequence[str], inputs: Iterable[str], size: int) -> None:
        """Prepares for writing the files, of so many bytes together. Raises as `check` and
        `require`."""
        self.check(names, inputs)
        if list(names) != [self._path]:
            self._refuse_other_shards(names)
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
        shutil.rmtree(self.scratch, ignore_errors=True)
        complete = [_identity(partial(name)) for name in self._names]
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
                os.replace(partial(name), name)
        self._sync_folder()
        if list(self._names) != [self._path]:
            # Gone for good before anybody hears that all is done: the files it lists would be
            # removed the next time.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial(self._path))
            self._sync_folder()
        self._committed = True

    def _tell_renamed(self, complete: Sequence[_Identity]) -> None:
        """Writes down which files are about to be renamed."""
        bases = map(os.path.basename, self._names)
        files = [(base, *identity) for base, identity in zip(bases, complete, strict=True)]
        text = json.dumps({"what": _RENAMING, "files": files}).encode()
        with naming(partial(self._path)):
            os.ftruncate(self._lock, 0)
            os.lseek(self._lock, 0, os.SEEK_SET)
            while text:
                text = text[os.write(self._lock, text) :]
            os.fsync(self._lock)
        self._sync_folder()

    def _roll_back(self) -> None:
        """Removes what this process wrote, or one that was killed."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        if not _is(self._lock, partial(self._path)):
            return  # it has its final name, and is complete
        for name in self._half_renamed():
            os.unlink(name)
        os.ftruncate(self._lock, 0)
        for name in self._shards(_SUFFIX):
            # "part-00000-of-00002.npy" may itself be what another process writes.
            if not _is_locked(name):
                os.unlink(name)

    def _half_renamed(self) -> list[str]:
        """The files that a killed process renamed, if it did not come to the end of them."""
        os.lseek(self._lock, 0, os.SEEK_SET)  # this process may have written it
        with open(self._lock, "rb", closefd=False) as file:
            if file.read(1) != b"{":
                return []
            file.seek(0)
            try:
                told = json.loads(file.read())
                files = told["files"] if told["what"] == _RENAMING else []
            except (ValueError, KeyError, TypeError):
                return []  # it came not even to the beginning
        found = []
        for base, *identity in files:
            name = os.path.join(self._folder, base)
            if _has(name, tuple(identity)):  # else it has become another file
                found.append(name)
        return found

    def _refuse_other_shards(self, names: Sequence[str]) -> None:
        others = sorted(set(self._shards("")) - set(names))
        if others:
            raise FileExistsError(
                errno.EEXIST,
                f"is left of an output of another number of shards than {len(names)}, which "
                "would be mixed up with this one; remove it first",
                others[0],
            )

    def _shards(self, suffix: str) -> list[str]:
        """The files in the folder that are shards of this output by their names."""
        stem = os.path.basename(self._path).removesuffix(".npy")
        pattern = re.compile(re.escape(stem) + r"-\d{5,}-of-\d{5,}\.npy" + re.escape(suffix))
        with os.scandir(self._folder) as entries:
            found = [entry.name for entry in entries if pattern.fullmatch(entry.name)]
        # As shard_names() has it: of "OUT.npy" they are "OUT-...", not "./OUT-...".
        folder = os.path.dirname(self._path)
        return [os.path.join(folder, name) for name in found]

    def _sync_folder(self) -> None:
        with naming(self._folder):
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


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


def _identity(path: str) -> _Identity:
    """What a file keeps when it is renamed, and shares with no other."""
    found = os.stat(path, follow_symlinks=False)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _has(name: str, identity: tuple[int, ...]) -> bool:
    """Whether this file has the name."""
    try:
        return _identity(name) == identity
    except FileNotFoundError:
        return False


def _is(descriptor: int, path: str) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _is_locked(path: str) -> bool:
    """Whether a process is writing a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # this filesystem has no locks
    finally:
        os.close(descriptor)
    return False


def _lock(path: str) -> int:
    """Opens a file, which is made if there is none, for this process alone."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "is in the way of a temporary file", path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(
                    errno.EWOULDBLOCK, "another pack is writing this output", path
                ) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            # The one who had it locked may have renamed it meanwhile: then it is that one's output.
            if _is(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
