"""Opened leaves of the NumPy backend: mapped files, arrays in memory, and files of one row each."""

from __future__ import annotations

import errno
import functools
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal
from weakref import WeakValueDictionary

import numpy as np

from npyfast._backends.cast import Cast
from npyfast._backends.converted import Converted
from npyfast._backends.fields import AnyArray, native, to_native
from npyfast._backends.file_status import FileState, WatchedFile, absolute_path
from npyfast._backends.header import Header, look_at_header_numpy, refuse_objects
from npyfast._backends.interface import Storage
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._backends.takes_into import TakesInto
from npyfast._errors import printable
from npyfast._order.selection import RowNumbers, resolve_rows


class File(WatchedFile):
    """A file of an array."""

    def __init__(self, path: str, header: Header, state: FileState) -> None:
        super().__init__(path, state)
        self.header = header

    @property
    def shape(self) -> tuple[int, ...]:
        return self.header.shape

    @property
    def has_dense_rows(self) -> bool:
        """Whether the items of a row are adjacent, which in Fortran order they are not."""
        return not self.header.fortran_order or len(self.header.shape) < 2

    def map(self) -> AnyArray:
        """The mapped array. Raises OSError if the file was changed or replaced."""
        header = self.header
        if 0 in header.shape or header.dtype.itemsize == 0:
            return np.ndarray(header.shape, header.dtype)  # not np.zeros: "S0" -> "S1"
        mapped = _mappings.get(self.state)
        if mapped is None:
            with self.opened() as file:
                mapped = _mappings[self.state] = np.memmap(file, np.uint8, "r")
        order: Literal["C", "F"] = "F" if header.fortran_order else "C"
        return np.ndarray(header.shape, header.dtype, mapped.data, header.data_offset, order=order)


# A file that holds several arrays is mapped once.
_mappings: WeakValueDictionary[FileState, np.memmap[Any, Any]] = WeakValueDictionary()

# Each mapped file uses a descriptor, and a process has few. An array of few files keeps all of them
# mapped, and so survives the removal or replacement of one.
_MAPPED_FOR_GOOD = 128
_MAPPED_OF_MANY = 32


class _Part:
    """The rows of a file, or of an array in memory, that a view leaves."""

    def __init__(self, data: File | AnyArray, view: RowView, rows: range) -> None:
        self.data = data
        self._view = view
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, array: AnyArray, rows: RowNumbers) -> AnyArray:
        """Rows by their numbers among these, as they are stored in `array`, the data."""
        numbers = self._rows.start + rows * self._rows.step
        taken: AnyArray = self._view.by_place(array)[
            np.unravel_index(numbers, self._view.places(array.shape))
        ]
        return taken


class NumpyLeaf(TakesInto):
    """The rows of files that are concatenated along axis 0, or of an array in memory."""

    cast: Cast | None = None

    def __init__(
        self,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        data: Sequence[File | AnyArray],
        map_now: bool = True,
        view: RowView = PLAIN,
    ) -> None:
        self.view = view
        self._files = [each for each in data if isinstance(each, File)]
        rows = view.sliced([math.prod(view.places(each.shape)) for each in data])
        parts = [_Part(each, view, mine) for each, mine in zip(data, rows, strict=True)]
        self._parts = [part for part in parts if len(part)]
        self._first_rows = np.cumsum([0] + [len(part) for part in self._parts])
        few = len(self._parts) <= _MAPPED_FOR_GOOD
        self._mapped = functools.lru_cache(None if few else _MAPPED_OF_MANY)(File.map)
        self.dtype = native(dtype)
        self.row_shape = view.row_shape(shape)
        self.storage = Storage(
            "mapped" if self._files else "memory",
            dense=all(file.has_dense_rows for file in self._files) and len(view.window) < 2,
        )
        for part in self._parts:
            if map_now and few and isinstance(part.data, File):
                self._mapped(part.data)

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return [(part.data.path, len(part)) for part in self._parts if isinstance(part.data, File)]

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        self._check_bytes(len(rows))
        if len(self._parts) == 1 and self.dtype.itemsize:
            return self._take(0, resolve_rows(rows, len(self)))
        return super().take(rows, threads)

    def take_stored(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        """Rows of memory as they are stored: overlapping fields each have their own byte order."""
        if len(self._parts) != 1 or self._files or not self.dtype.itemsize:
            return self.take(rows, threads)
        self._check_bytes(len(rows))
        return self._stored(0, resolve_rows(rows, len(self)))

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        rows = resolve_rows(rows, len(self))
        if self.dtype.itemsize == 0:
            return  # NumPy would loop over all 2**80 items
        which = np.searchsorted(self._first_rows, rows, side="right") - 1
        for number in np.unique(which):
            mine = which == number
            out[mine] = self._take(number, rows[mine] - self._first_rows[number])

    def _check_bytes(self, count: int) -> None:
        """Raises what NumPy raises for slightly fewer rows."""
        if count * math.prod(self.row_shape) * self.dtype.itemsize >= 2**63:
            raise MemoryError(f"{count:,} rows take 2**63 bytes or more")

    def _take(self, number: int, rows: RowNumbers) -> AnyArray:
        """Rows of one part, by their numbers within it."""
        return to_native(self._stored(number, rows))

    def _stored(self, number: int, rows: RowNumbers) -> AnyArray:
        """The same, as they are stored."""
        part = self._parts[number]
        if not isinstance(part.data, File):
            return part.take(part.data, rows)
        part.data.check_unchanged()  # first: a read beyond the end would kill the process
        taken = part.take(self._mapped(part.data), rows)
        part.data.check_unchanged()  # data that changed during the copy must not reach a batch
        return taken

    def check_files(self) -> None:
        for file in self._files:
            file.check_unchanged()

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)


# How many times to read a file of one row that is replaced while it is read.
_READ_AGAIN = 4


class RowFiles(TakesInto):
    """The rows of files that hold one each, opened when a row is taken."""

    storage = Storage("row files")
    cast: Cast | None = None
    view = PLAIN

    def __init__(self, files: Sequence[str]) -> None:
        self._files = [absolute_path(path) for path in files]
        self._first = look_at_header_numpy(files[0]).header
        refuse_objects(printable(files[0]), self._first.dtype)
        self.dtype = native(self._first.dtype)
        self.row_shape = self._first.shape

    def __len__(self) -> int:
        return len(self._files)

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return [(path, 1) for path in self._files]

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        for i, row in enumerate(resolve_rows(rows, len(self))):
            read = self._read(self._files[row])
            if read is not None:
                out[i] = read

    def _read(self, path: str) -> AnyArray | None:
        """The row in a file; None for a row of no bytes, which np.load cannot read."""
        for _ in range(_READ_AGAIN):
            header, status = look_at_header_numpy(path)
            refuse_objects(printable(path), header.dtype)
            check_alike("shape", self._files[0], self._first, path, header)
            try:
                read = to_native(np.load(path, allow_pickle=False)) if header.nbytes else None
            except ValueError:
                if FileState.of(os.stat(path)) == FileState.of(status):
                    raise
                continue
            if FileState.of(os.stat(path)) == FileState.of(status):
                return read
        raise OSError(errno.ESTALE, "was changed while it was read, again and again", path)

    def check_files(self) -> None:
        """Does nothing: each file is checked whenever it is read."""

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)


def check_file(
    first: str, expected: Header, path: str, header: Header, view: RowView = PLAIN
) -> None:
    """Raises unless a file holds rows, and rows like those of the first file."""
    refuse_objects(printable(path), header.dtype)
    if header.shape == ():
        raise ValueError(f"{printable(path)}: holds a 0-dimensional array, which has no rows")
    view.check_fits(path, header.shape)
    first_row, row = (
        replace(each, shape=view.row_shape(each.shape)) for each in (expected, header)
    )
    check_alike("row shape", first, first_row, path, row)


def check_alike(shape: str, first: str, expected: Header, path: str, header: Header) -> None:
    """Raises ValueError naming two files of one array that differ in dtype or shape; `shape` is
    what the message calls it."""
    first, path = printable(first), printable(path)
    if header.dtype != expected.dtype:
        raise ValueError(
            f"the files of one array must have one dtype: {first} has {expected.dtype}, "
            f"{path} has {header.dtype}"
        )
    if header.shape != expected.shape:
        way_out = "; each is one row: pad or crop them" if shape == "shape" else ""
        raise ValueError(
            f"the files of one array must have one {shape}: {first} has {expected.shape}, "
            f"{path} has {header.shape}{way_out}"
        )
