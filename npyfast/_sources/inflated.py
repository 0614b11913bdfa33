"""Compressed arrays of `.npz` archives, inflated into memory: once for all datasets of a process.

A row of such an array has no position in its file until everything before it is decompressed.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np

from npyfast._backends import backend
from npyfast._backends.fields import AnyArray
from npyfast._backends.file_status import FileState, absolute_path
from npyfast._backends.header import Header
from npyfast._backends.numpy_leaf import check_file
from npyfast._errors import printable
from npyfast._sources.checks import refuse_no_rows
from npyfast._sources.formats import member_name, pack_command
from npyfast._sources.npz import Archive
from npyfast._sources.opening import Opening
from npyfast._warnings import warn

# The share of usable memory that data may take, inflated or read as a whole; kArraysPart in
# csrc/core/readahead/readahead_policy.cc.
MOST_OF_MEMORY = 0.85

# The states of the files, and the key: what the bytes depend on.
_Identity = tuple[str | FileState, ...]

# The memory of each array that a dataset still uses.
_inflated: weakref.WeakValueDictionary[_Identity, AnyArray] = weakref.WeakValueDictionary()
_warned: set[str] = set()
_lock = threading.Lock()


def _forget_other_threads() -> None:
    """A fork while another thread held the lock would leave it locked forever."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_other_threads)


class Compressed(NamedTuple):
    """One array of several archives, in at least one of which it is compressed."""

    archives: list[Archive]
    key: str
    headers: list[Header]

    @classmethod
    def find(cls, files: Sequence[str], key: str, opening: Opening) -> Compressed | None:
        """The array, or None if it is nowhere compressed. Raises as Archive.look() does, and if the
        files do not form one array of rows."""
        archives = [opening.archive(path) for path in files]
        if all(archive.compression(key) is None for archive in archives):
            return None
        headers = [archive.look(key) for archive in archives]  # and so checks their sizes
        for path, header in zip(files, headers, strict=True):
            refuse_no_rows(path, key, header)
            check_file(files[0], headers[0], path, header)
        return cls(archives, key, headers)

    @property
    def name(self) -> str:
        return member_name(self.archives[0].path, self.key)

    @property
    def identity(self) -> _Identity:
        return (self.key, *(FileState.of(archive.status) for archive in self.archives))

    @property
    def shape(self) -> tuple[int, ...]:
        rows = sum(header.shape[0] for header in self.headers)
        return rows, *self.headers[0].shape[1:]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.headers[0].dtype.itemsize

    def array(self, memory: AnyArray) -> AnyArray:
        """The array whose items are in this memory."""
        alone = len(self.headers) == 1
        order: Literal["C", "F"] = "F" if alone and self.headers[0].fortran_order else "C"
        return np.ndarray(self.shape, self.headers[0].dtype, memory.data, order=order)

    def without_items(self) -> AnyArray:
        """An array of the same shape that takes no memory: only its rows can be counted."""
        dtype = self.headers[0].dtype
        one = np.zeros(max(1, dtype.itemsize), np.uint8)
        return np.ndarray(self.shape, dtype, one.data, strides=(0,) * len(self.shape))


def inflate(arrays: Sequence[Compressed], opening: Opening) -> None:
    """Inflates arrays, several members at once, and keeps them in `opening.inflated`.

    Raises ValueError if they do not fit in memory, and NpyFormatError for a wrong checksum.
    """
    with _lock:
        missing: dict[_Identity, Compressed] = {}
        for each in arrays:
            memory = _inflated.get(each.identity)
            if memory is not None:
                opening.inflated[each.identity] = memory
            elif each.identity not in opening.inflated:
                missing[each.identity] = each
        if not missing:
            return
        _check_fits(list(missing.values()))
        made = {each: np.empty(max(1, missing[each].nbytes), np.uint8) for each in missing}
        _fill([(missing[each], memory) for each, memory in made.items()])
        opening.inflated.update(made)
        _inflated.update(made)
    _warn_once(list(missing.values()))


def inflated(array: Compressed, opening: Opening) -> AnyArray:
    """The array, inflated now unless it has been before."""
    if array.identity not in opening.inflated:
        inflate([array], opening)
    return array.array(opening.inflated[array.identity])


def _check_fits(arrays: list[Compressed]) -> None:
    usable = backend().usable_memory()
    needed = sum(array.nbytes for array in arrays)
    if usable is None or needed <= MOST_OF_MEMORY * usable:
        return
    array = max(arrays, key=lambda each: each.nbytes)
    methods = (archive.compression(array.key) for archive in array.archives)
    method = next(each for each in methods if each is not None)
    raise ValueError(
        printable(
            f"{array.name}: is compressed ({method}), so its rows cannot be mapped, and inflated "
            f"({needed:,} bytes) it does not fit in the memory that can be used ({usable:,}): "
            f"write it into a plain file once, by `{_command(array)}`, or save the archive by "
            "np.savez, not np.savez_compressed"
        )
    )


def _fill(arrays: list[tuple[Compressed, AnyArray]]) -> None:
    """Inflates every member into its place. Decompressing releases the GIL."""
    stop = threading.Event()
    jobs = [job for array, memory in arrays for job in _members(array, memory)]
    with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as threads:
        try:
            for done in [
                threads.submit(archive.inflate, key, out, stop.is_set) for archive, key, out in jobs
            ]:
                done.result()
        except BaseException:
            stop.set()
            threads.shutdown(cancel_futures=True)
            raise


def _members(array: Compressed, memory: AnyArray) -> list[tuple[Archive, str, AnyArray]]:
    """Each archive, the key, and the array to fill."""
    if len(array.headers) == 1:
        return [(array.archives[0], array.key, array.array(memory))]
    whole, first = array.array(memory), 0
    found = []
    for archive, header in zip(array.archives, array.headers, strict=True):
        found.append((archive, array.key, whole[first : first + header.shape[0]]))
        first += header.shape[0]
    return found


def _command(array: Compressed) -> str:
    return pack_command(array.archives[0].path, array.key)


def _warn_once(arrays: list[Compressed]) -> None:
    """One warning for each archive and process."""
    for array in arrays:
        path = absolute_path(array.archives[0].path)  # another directory has another "a.npz"
        if path not in _warned:
            _warned.add(path)
            warn(
                f"{array.name}: is compressed, so it was inflated into memory, which takes time at "
                f"each start ({sum(each.nbytes for each in arrays):,} bytes): write it into a "
                f"plain file once, by `{_command(array)}`",
                RuntimeWarning,
            )
