"""Files that appear together: written under temporary names, and renamed when all are complete.

An output of one file is written to its lock, NAME.partial. Each file of an output of several is
written to a .partial of its own.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Container, Iterable, Sequence

from npyfast._errors import printable
from npyfast._packing.descriptor import (
    create,
    has_inode,
    held,
    inherit_permissions,
    look_at,
    naming,
    rename_new,
    sync_folder,
)
from npyfast._packing.lock import (
    Identity,
    has_identity,
    identity_of,
    make_lock,
    remove_temporary,
    write_list,
)
from npyfast._packing.names import SUFFIX, numbered_files, partial
from npyfast._packing.scratch import Scratch

_REPLACED = "was replaced by another process while it was written"


class Output:
    """The output `path`, locked until the end of a `with` block. Files that were not committed are
    removed, and so are those that a killed process left.

    Others may write to its folder: only files of this user, with the names that pack gives, are
    removed, and no link is followed.

    Raises BlockingIOError if another process writes it, FileExistsError if something else has the
    name of a temporary file.
    """

    def __init__(self, path: str, *, overwrite: bool, inputs: Sequence[str] = ()) -> None:
        self._path = path
        self.scratch = Scratch(path)  # for temporary files
        self._folder = os.path.dirname(path) or "."
        self._overwrite = overwrite
        self._names: Sequence[str] = ()  # final names
        self._written: dict[str, os.stat_result] = {}  # by their final names
        self._complete: list[Identity] = []  # the files to be renamed, once all are complete
        self._committed = False
        if not os.path.isdir(self._folder):
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", self._folder)
        self._refuse_inputs(inputs)
        self._lock = make_lock(path, self.scratch, lambda: self._mode(path))

    def __enter__(self) -> Output:
        try:
            remove_temporary(self._path, self.scratch)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._lock, contextlib.suppress(OSError):  # the next process removes what is left
            try:
                if self._complete and not isinstance(error, Exception):
                    # Interrupted: finish renaming rather than undo it, because files that were
                    # overwritten are gone.
                    self._rename()
            finally:
                if not self._committed:
                    self._roll_back()

    def create(self, name: str) -> io.FileIO:
        """The temporary file of an output, opened for writing."""
        if name == self._path:
            file = held(os.dup, self._lock.fileno())
        else:
            file = create(partial(name), self._mode(name))
        self._written[name] = os.fstat(file.fileno())
        return file

    def reopen(self, name: str) -> io.FileIO:
        """The same file, for reading. Raises OSError if another file has its name."""
        with naming(partial(name)):
            file = look_at(partial(name))
            if os.path.samestat(os.fstat(file.fileno()), self._written[name]):
                return file
            file.close()
            raise OSError(errno.ESTALE, _REPLACED)

    def _mode(self, name: str) -> int:
        """The mode of a new file: private while it may replace a file that is."""
        with contextlib.suppress(FileNotFoundError):
            if self._overwrite and stat.S_ISREG(os.lstat(name).st_mode):
                return 0o600
        return 0o666

    def check(self, names: Iterable[str], inputs: Iterable[str] = ()) -> None:
        """Raises FileExistsError if a file exists and must not be overwritten, and ValueError if it
        is one of the inputs."""
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
        """Raises ValueError if an input has the name of a temporary file and would be lost."""
        temporary = [partial(self._path), *numbered_files(self._path, SUFFIX)]
        temporary += self.scratch.files()
        existing = set()
        for name in temporary:
            with contextlib.suppress(FileNotFoundError):
                existing.add(_file_id(name))
        path = _one_of(inputs, existing)
        if path is not None:
            raise ValueError(
                printable(
                    f"{path}: has the name of a temporary file of the output {self._path}: rename "
                    "it, or choose another output"
                )
            )

    def begin(self, names: Sequence[str], inputs: Iterable[str], size: int) -> None:
        """Prepares to write the files, `size` bytes together. Raises as `check` and `require`."""
        self.check(names, inputs)
        if list(names) != [self._path]:
            self._refuse_other_files(names)
        self._names = names
        self.require(size)

    def require(self, size: int) -> None:
        """Raises OSError (ENOSPC) if the filesystem has less room than `size` bytes."""
        system = os.statvfs(self._folder)
        free = system.f_bavail * system.f_frsize
        if system.f_blocks and size > free:  # some filesystems report nothing
            raise OSError(
                errno.ENOSPC, f"needs {size:,} bytes, and the disk has {free:,} left", self._path
            )

    def commit(self) -> None:
        """Gives all files their final names. They are complete and on the disk."""
        if not self._overwrite:
            self.check(self._names)  # another process may have been faster
        self.scratch.remove()
        complete = []
        for name in self._names:
            with self.reopen(name) as file:
                complete.append(identity_of(os.fstat(file.fileno())))
        if list(self._names) != [self._path]:
            write_list(self._path, self._lock, self._names, complete)
            sync_folder(self._folder)
        self._complete = complete
        self._rename()

    def _rename(self) -> None:
        """Gives each complete file its final name, unless it has it already."""
        if self._committed:
            return
        for name, identity in zip(self._names, self._complete, strict=True):
            if not has_identity(name, identity):
                self._rename_one(name)
            elif has_identity(partial(name), identity):
                os.unlink(partial(name))  # interrupted while it had both
        sync_folder(self._folder)
        if list(self._names) != [self._path]:
            # The list must be gone from the disk before success is reported: the next pack would
            # remove the files on it.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial(self._path))
            sync_folder(self._folder)
        self._committed = True

    def _rename_one(self, name: str) -> None:
        with self.reopen(name) as file:
            if not self._overwrite:
                try:
                    rename_new(partial(name), name)
                except FileExistsError:
                    self.check([name])  # its error says what to do
                    raise
                return
            with contextlib.suppress(FileNotFoundError):
                old = os.lstat(name)
                if stat.S_ISREG(old.st_mode):
                    inherit_permissions(file, old)
            os.replace(partial(name), name)

    def _roll_back(self) -> None:
        """Removes what this process wrote. The lock comes last: while it exists, others know that
        something may be left."""
        if list(self._names) != [self._path]:  # renaming one file is one step
            for name, identity in zip(self._names, self._complete, strict=False):
                if has_identity(name, identity):
                    os.unlink(name)
        remove_temporary(self._path, self.scratch)
        if has_inode(partial(self._path), os.fstat(self._lock.fileno())):
            os.unlink(partial(self._path))

    def _refuse_other_files(self, names: Sequence[str]) -> None:
        others = sorted(set(numbered_files(self._path)) - set(names))
        if others:
            raise FileExistsError(
                errno.EEXIST,
                f"is left from an output of another number of files than {len(names)}, and "
                "would be mixed up with this one; remove it first",
                others[0],
            )


def _file_id(path: str) -> tuple[int, int]:
    """Device and inode of the file that a path leads to."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _one_of(inputs: Iterable[str], existing: Container[tuple[int, int]]) -> str | None:
    """The first input that is one of these files. Usually there are no such files."""
    for path in inputs if existing else ():
        with contextlib.suppress(FileNotFoundError):
            if _file_id(path) in existing:
                return path
    return None
