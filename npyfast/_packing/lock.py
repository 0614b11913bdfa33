"""The lock of an output, and the files that a killed process has left behind.

The file NAME.partial beside an output NAME is locked (flock) while a process writes it. An output
of several files writes into it, before the first is renamed, which files it renames: if the process
is killed, the next one removes those that have their final names already.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
from collections.abc import Callable, Sequence

from npyfast._errors import printable
from npyfast._packing.descriptor import (
    create,
    has_inode,
    held,
    is_locked,
    is_own_file,
    lock,
    naming,
)
from npyfast._packing.names import SUFFIX, numbered_files, numbered_names, partial
from npyfast._packing.scratch import Scratch

# Identifies a file, whatever its name: inode, size, time.
Identity = tuple[int, int, int]

_TRIES = 100
_LONGEST_LIST = 1 << 28  # bytes
_RENAMING = "npyfast pack: the files that are being renamed"


def identity_of(status: os.stat_result) -> Identity:
    """The identity of a file."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def has_identity(name: str, identity: tuple[object, ...]) -> bool:
    """Whether the file of this name is the one with the identity."""
    try:
        return identity_of(os.lstat(name)) == identity
    except FileNotFoundError:
        return False


def make_lock(output: str, scratch: Scratch, mode: Callable[[], int]) -> io.FileIO:
    """Makes the lock, for this process alone, with a mode; removes what a killed process has left.

    Raises BlockingIOError if another process writes the output, FileExistsError if something else
    has the name of the lock.
    """
    path = partial(output)
    for _ in range(_TRIES):
        try:
            made = create(path, mode())
        except FileExistsError:
            take_over(output, scratch)
            continue
        try:
            lock(made, path)
        except OSError:
            made.close()
            raise
        # A process that mistook it for a leftover may have removed it.
        if has_inode(path, os.fstat(made.fileno())):
            return made
        made.close()
    raise BlockingIOError(errno.EWOULDBLOCK, "others keep making and removing it", path)


def take_over(output: str, scratch: Scratch) -> None:
    """Removes the lock of a process that was killed, and the files that it had renamed if it was
    not done renaming. Raises as make_lock()."""
    path = partial(output)
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
        # Its owner may have renamed it meanwhile: then it is that process's output.
        if not (has_inode(path, status) and is_own_file(status)):
            return
        # A list with a second name may be an unrelated file.
        for name in _half_renamed(output, left) if status.st_nlink == 1 else []:
            os.unlink(name)
        remove_temporary(output, scratch)
        if has_inode(path, status):
            os.unlink(path)


def remove_temporary(output: str, scratch: Scratch) -> None:
    """Removes temporary files except the lock, of this process or one that was killed."""
    scratch.remove()
    for name in numbered_files(output, SUFFIX):
        # "part-00000-of-00002.npy" may itself be what another process writes.
        with contextlib.suppress(FileNotFoundError):
            if is_own_file(os.lstat(name)) and not is_locked(name):
                os.unlink(name)


def write_list(
    output: str, lock: io.FileIO, names: Sequence[str], identities: Sequence[Identity]
) -> None:
    """Writes into the lock which files are about to be renamed."""
    bases = map(os.path.basename, names)
    files = [(base, *identity) for base, identity in zip(bases, identities, strict=True)]
    text = json.dumps({"what": _RENAMING, "files": files}).encode()
    with naming(partial(output)):
        os.ftruncate(lock.fileno(), 0)
        os.lseek(lock.fileno(), 0, os.SEEK_SET)
        while text:
            text = text[os.write(lock.fileno(), text) :]
        os.fsync(lock.fileno())


def _half_renamed(output: str, lock: io.FileIO) -> list[str]:
    """The files that a killed process had renamed, if it was not done. Raises ValueError if the
    list has files that no pack of this output writes."""
    if os.pread(lock.fileno(), 1, 0) != b"{" or os.fstat(lock.fileno()).st_size > _LONGEST_LIST:
        return []  # data
    with open(lock.fileno(), "rb", closefd=False) as file:
        try:
            record = json.loads(file.read())
            files = record["files"] if record["what"] == _RENAMING else []
        except (ValueError, KeyError, TypeError, RecursionError):
            return []  # the process did not get as far as renaming
    names = numbered_names(output, len(files)) if isinstance(files, list) else []
    expected = [[os.path.basename(name)] for name in names]
    if not names or [entry[:1] for entry in files if isinstance(entry, list)] != expected:
        raise ValueError(
            printable(
                f"{partial(output)}: lists files that no pack of this output writes; nothing was "
                "removed: remove it by hand"
            )
        )
    return [
        name
        for name, entry in zip(names, files, strict=True)
        if has_identity(name, tuple(entry[1:])) and is_own_file(os.lstat(name))
    ]
