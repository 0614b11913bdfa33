"""The rows of HDF5 datasets that only h5py can read: chunked, compressed and virtual ones."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from npyfast._backends.cast import Cast
from npyfast._backends.converted import Converted
from npyfast._backends.fields import AnyArray, native, to_native
from npyfast._backends.interface import Storage
from npyfast._backends.row_view import PLAIN
from npyfast._backends.takes_into import TakesInto
from npyfast._order.selection import RowNumbers, resolve_rows
from npyfast._sources.hdf5_dataset import HDF5Dataset
from npyfast._sources.hdf5_file import find_dataset, open_hdf5, status_of

# The most files that are open at the same time.
_OPEN_FILES = 32


class _Process:
    """The open files of one process."""

    def __init__(self) -> None:
        self.number = os.getpid()
        self.lock = threading.Lock()
        self.opened: OrderedDict[int, tuple[Any, Any]] = OrderedDict()  # files and datasets


class HDF5Leaf(TakesInto):
    """The rows of datasets that are concatenated along axis 0, read by h5py: see
    npyfast._backends.interface.OpenedLeaf. Thread-safe; a forked process opens the files itself."""

    cast: Cast | None = None
    view = PLAIN

    def __init__(self, datasets: Sequence[HDF5Dataset]) -> None:
        self._found = [dataset for dataset in datasets if dataset.shape[0]]
        self._first_rows = np.cumsum([0] + [dataset.shape[0] for dataset in self._found])
        self.dtype = native(datasets[0].dtype)
        self.row_shape = datasets[0].shape[1:]
        self.storage = Storage("h5py", chunk_rows=self._chunk_rows())
        self._process = _Process()
        if len(self._found) <= _OPEN_FILES:
            # They stay open, so that files removed or replaced later can still be read.
            for number in range(len(self._found)):
                self._opened(self._process, number)

    def _chunk_rows(self) -> int | None:
        """Rows of the largest chunk."""
        return max((each.chunk_rows for each in self._found if each.chunk_rows), default=None)

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return [(dataset.path, dataset.shape[0]) for dataset in self._found]

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        # Each row is read once, in the order of the file.
        wanted, inverse = np.unique(resolve_rows(rows, len(self)), return_inverse=True)
        inverse = inverse.reshape(-1)
        slots = np.argsort(inverse, kind="stable")
        ends = np.cumsum(np.bincount(inverse, minlength=len(wanted)))
        which = np.searchsorted(self._first_rows, wanted, side="right") - 1
        done = 0
        touched = np.unique(which)
        for number in touched:
            mine = wanted[which == number] - self._first_rows[number]
            for together in read_together(mine, self._found[number].chunk_rows):
                read = self._read(number, int(together[0]), int(together[-1]) + 1)
                for row in together:
                    begin = ends[done - 1] if done else 0
                    out[slots[begin : ends[done]]] = read[row - together[0]]
                    done += 1
        for number in touched:
            self._found[number].check_files()

    def check_files(self) -> None:
        for dataset in self._found:
            dataset.check_files()

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)

    def _read(self, number: int, begin: int, end: int) -> AnyArray:
        """Consecutive rows of one dataset."""
        process = self._process
        if process.number != os.getpid():
            # The parent's lock may stay locked forever in this process. Drop its files first: HDF5
            # would otherwise share an open file with the one opened next.
            process = self._process = _Process()
        with process.lock:
            dataset = self._opened(process, number)
            try:
                read: AnyArray = dataset[begin:end]
            except (OSError, RuntimeError) as error:
                self._found[number].check_files()  # its error is more precise
                raise OSError(f"{self._found[number].name}: {error}") from error
        return to_native(read)

    def _opened(self, process: _Process, number: int) -> Any:
        """A dataset. Its file stays open while it is among the most recently used."""
        opened = process.opened.pop(number, None)
        if opened is None:
            found = self._found[number]
            file = open_hdf5(found.file.location)
            try:
                found.file.check_same(status_of(file, found.file.location))
                found.check_files()
                opened = file, find_dataset(file, found.path, found.key)
            except BaseException:
                file.close()
                raise
        process.opened[number] = opened
        if len(process.opened) > _OPEN_FILES:
            process.opened.popitem(last=False)[1][0].close()
        return opened[1]


def read_together(rows: RowNumbers, chunk_rows: int | None) -> list[RowNumbers]:
    """Divides sorted rows into those that are read at once: the rows of one chunk, because a chunk
    is always read as a whole; without chunks, consecutive rows."""
    cuts = np.diff(rows) > 1 if chunk_rows is None else np.diff(rows // chunk_rows) > 0
    return np.split(rows, np.flatnonzero(cuts) + 1)
