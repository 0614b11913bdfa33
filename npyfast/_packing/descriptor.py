"""Handles files in folders that others may write to: never opens, follows or replaces one of theirs
by mistake, and leaks no descriptor."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

# Errors of a filesystem without such a rename, or without hard links.
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK)


# Errors of flock() on a filesystem without locks, where other processes cannot be kept out.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def held(call: Callable[..., int], *arguments: object) -> io.FileIO:
    """The descriptor that a call such as `os.open` returns, owned by an object that closes it with
    its last reference. No Python runs in between, so an interrupt never leaves it open."""
    return next(map(io.FileIO, map(call, *([argument] for argument in arguments))))


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Adds the file name to system errors raised inside."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


class Folder:
    """An open folder. Raises OSError if the name is a link."""

    # io.FileIO does not accept folders.
    def __init__(self, path: str, more: int = os.O_NOFOLLOW) -> None:
        self._held: list[int] = []
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | more
        self._held.extend(map(os.open, [path], [flags]))

    def fileno(self) -> int:
        return self._held[0]

    def close(self) -> None:
        """Closes it, once."""
        if self._held:
            # In one step, which no interrupt can divide.
            next(map(os.close, map(list.pop, [self._held])))

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sync_folder(path: str) -> None:
    """Flushes the names in a folder to the disk."""
    with naming(path), Folder(path, more=0) as folder:
        os.fsync(folder.fileno())


def look_at(path: str) -> io.FileIO:
    """Opens a file for reading, without following links or waiting for the writer of a pipe."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return held(os.open, path, os.O_RDONLY | flags)


def create(path: str, mode: int, folder: Folder | None = None) -> io.FileIO:
    """Creates a file for reading and writing. Raises FileExistsError if the name is taken, even by
    a dangling link."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    place = None if folder is None else folder.fileno()
    try:
        return held(functools.partial(os.open, dir_fd=place), path, flags, mode)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, "is in the way of a temporary file", path) from None


def is_own_file(status: os.stat_result) -> bool:
    """Whether it is a regular file of this user."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def has_inode(path: str, status: os.stat_result) -> bool:
    """Whether the name is this file itself, not a link to it."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), status)
    except FileNotFoundError:
        return False


def is_locked(path: str) -> bool:
    """Whether a process is writing a file."""
    try:
        with look_at(path) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # the filesystem has no locks, or the file is gone
    return False


def lock(file: io.FileIO, path: str) -> None:
    """Locks a file. Raises BlockingIOError if another process has locked it."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            errno.EWOULDBLOCK, "another pack is writing this output", path
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def rename_new(old: str, new: str) -> None:
    """Renames a file. Raises FileExistsError if the new name is taken, without a race unless the
    filesystem has neither such a rename nor hard links."""
    try:
        _rename_no_replace(old, new)
        return
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    else:
        os.unlink(old)
        return
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
    os.rename(old, new)


def _rename_no_replace(old: str, new: str) -> None:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:  # not glibc, or older than 2.28
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), new)
    names = (_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new))
    if renameat2(*names, _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def inherit_permissions(file: io.FileIO, old: os.stat_result) -> None:
    """Gives a file the permissions of another one, and its owner and group if that is allowed; if
    not, the permissions are reduced so that nobody gains access."""
    for owner in (old.st_uid, -1):
        with contextlib.suppress(OSError):
            os.fchown(file.fileno(), owner, old.st_gid)
            break
    now = os.fstat(file.fileno())
    mode = old.st_mode & 0o777
    if now.st_uid != old.st_uid:
        mode &= ~stat.S_IWOTH
    if now.st_gid != old.st_gid:
        mode &= ~0o070 | (mode & 0o007) << 3
    os.fchmod(file.fileno(), mode)
