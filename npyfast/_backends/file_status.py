"""Files that stay open or are opened again: their location, and whether they are unchanged."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from npyfast._errors import NpyFormatError


def absolute_path(path: str) -> str:
    """A path that stays valid when this process changes its working directory."""
    if os.path.isabs(path):
        return path
    try:
        return os.path.join(os.getcwd(), path)
    except OSError:  # the directory was removed, or may not be asked for: there is no such path
        return path


class FileState(NamedTuple):
    """Identifies a file in one state, as FileStamp of csrc/core/os/file.h does."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int  # of content or metadata; os.utime() cannot set it

    @staticmethod
    def of(status: os.stat_result) -> FileState:
        return FileState(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


class WatchedFile:
    """A file that is open, or will be opened again, and must stay as it was.

    If it is `kept_open`, a path that now leads to another file, or to none, is not a change: the
    old file is still open.
    """

    def __init__(self, path: str, state: FileState, *, kept_open: bool = True) -> None:
        self.path = path  # as it was given, for people
        self.location = absolute_path(path)
        self.state = state
        self._kept_open = kept_open
        self._changed_size: int | None = None  # when it was found to be changed

    def check_unchanged(self) -> None:
        """Raises if the file was changed in any way: NpyFormatError if it is shorter now, otherwise
        OSError (ESTALE). Once it has raised, it always raises."""
        if self._changed_size is None:
            try:
                status = os.stat(self.location)
            except OSError:
                if self._kept_open:
                    return
                raise
            now = FileState.of(status)
            if now == self.state:
                return
            if now[:2] != self.state[:2]:
                if not self._kept_open:
                    self.check_same(status)
                return
            # Another file may replace it later; this one stays untrusted all the same.
            self._changed_size = now.size
        if self._changed_size >= self.state.size:
            changed = "was changed after it was opened; make the dataset again"
            raise OSError(errno.ESTALE, changed, self.path)
        raise NpyFormatError(
            f"{self.path}: has {self._changed_size:,} bytes now, {self.state.size:,} when it was "
            "opened: it was truncated while it was read; copy it again"
        )

    def check_same(self, now: os.stat_result) -> None:
        """Raises OSError if this is the status of another file, or of this one after a change."""
        if FileState.of(now) != self.state:
            changed = "was changed or replaced after it was opened; make the dataset again"
            raise OSError(errno.ESTALE, changed, self.path)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, open. Raises OSError if it was changed or replaced."""
        now = os.stat(self.location)
        if stat.S_ISREG(now.st_mode):  # opening a pipe would wait for its writer
            with open(self.location, "rb") as file:
                self.check_same(os.fstat(file.fileno()))
                yield file
        else:
            self.check_same(now)


# The time between two checks of all files: at least this many seconds, and this many times the
# duration of a check; as in csrc/core/source/array.cc.
_INTERVAL = 0.1
_INTERVALS = 100


class RegularChecks:
    """Checks at the first call, then at most every 0.1 s, and less often if checking would take
    more than 1 % of the time. After a failed check the next call checks again."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._due = 0.0

    def __call__(self) -> None:
        begin = time.monotonic()
        if begin < self._due:
            return
        self._check()
        end = time.monotonic()
        self._due = end + max(_INTERVAL, _INTERVALS * (end - begin))
