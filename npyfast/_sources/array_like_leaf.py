"""The rows of an object of another package, read through its `__getitem__`."""

from __future__ import annotations

import errno
import operator
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from npyfast._backends.cast import Cast
from npyfast._backends.converted import Converted
from npyfast._backends.fields import AnyArray, check_nesting, native, to_native
from npyfast._backends.header import refuse_objects
from npyfast._backends.interface import OpenedLeaf, Storage
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._backends.takes_into import TakesInto
from npyfast._backends.viewed import ViewedLeaf
from npyfast._errors import shown
from npyfast._order.selection import RowNumbers, resolve_rows
from npyfast._sources.array_like import ArrayLike
from npyfast._sources.hdf5_leaf import read_together


def open_array_like(source: ArrayLike, view: RowView) -> OpenedLeaf:
    """The rows of an array-like that a view leaves."""
    leaf = ArrayLikeLeaf(source)
    view.check_fits(shown(source), (len(leaf), *leaf.row_shape))
    return leaf if view == PLAIN else ViewedLeaf(leaf, view)


class _Process:
    """What belongs to one process."""

    def __init__(self) -> None:
        self.number = os.getpid()
        self.lock = threading.Lock()
        self.chunks: OrderedDict[int, AnyArray] = OrderedDict()


class ArrayLikeLeaf(TakesInto):
    """The rows of an array-like: see npyfast._backends.interface.OpenedLeaf.

    Thread-safe: the object is asked for one thing at a time, because it may not be.
    """

    cast: Cast | None = None
    view = PLAIN

    def __init__(self, source: ArrayLike) -> None:
        self._source: Any = source
        self._name = shown(source)
        self._shape = self._shape_now()
        if not self._shape:
            raise ValueError(f"{self._name}: is 0-dimensional, so it has no rows")
        dtype = self._dtype_now()
        refuse_objects(self._name, dtype)
        check_nesting(dtype)
        self.dtype = native(dtype)
        self.row_shape = self._shape[1:]
        self.storage = Storage("python", chunk_rows=self._chunk_rows())
        # h5py takes much longer for a list of rows than for slices.
        self._takes_lists = type(source).__module__.partition(".")[0] != "h5py"
        self._kept_chunks = 0
        self._process = _Process()

    def _shape_now(self) -> tuple[int, ...]:
        given = self._source.shape
        try:
            shape = tuple(operator.index(count) for count in given)
        except TypeError:
            shape = (-1,)
        if min(shape, default=0) < 0:
            raise TypeError(
                f"{type(self._source).__name__}: shape must be a tuple of ints, got {shown(given)}"
            )
        return shape

    def _dtype_now(self) -> np.dtype[Any]:
        given = self._source.dtype
        try:
            # TensorStore has types of its own.
            dtype: np.dtype[Any] = np.dtype(getattr(given, "numpy_dtype", given))
        except TypeError as error:
            raise TypeError(
                f"{self._name}: dtype is none of NumPy's, but {given!r:.100}"
            ) from error
        return dtype

    def _chunk_rows(self) -> int | None:
        chunks = getattr(self._source, "chunks", None)
        if isinstance(chunks, (tuple, list)) and chunks and type(chunks[0]) is int:
            return chunks[0] if chunks[0] > 0 else None
        return None

    def __len__(self) -> int:
        return self._shape[0]

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return []

    def keep_chunks(self, block_rows: int, window_rows: int) -> None:
        """Keeps the chunks of a window of blocks, so that each is read once a window."""
        chunk_rows = self.storage.chunk_rows
        if chunk_rows is not None and block_rows >= chunk_rows:
            # A block may begin and end within a chunk.
            blocks = window_rows // block_rows + 1
            self._kept_chunks = blocks * (block_rows // chunk_rows + 2)

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        wanted, inverse = np.unique(resolve_rows(rows, len(self)), return_inverse=True)
        if not len(wanted):
            return
        process = self._process
        if process.number != os.getpid():
            # The parent's lock may stay locked forever in this process.
            process = self._process = _Process()
        with process.lock:
            found = self._from_chunks(wanted, process) if self._kept_chunks else self._read(wanted)
        out[...] = found[inverse.reshape(-1)]

    def check_files(self) -> None:
        """Raises OSError if the object has changed its shape or dtype, or has none any more."""
        try:
            same = self._shape_now() == self._shape and native(self._dtype_now()) == self.dtype
        except Exception as error:  # such as of a file that was closed
            raise OSError(
                f"{self._name}: cannot be read any more: {type(error).__name__}: {error}"
            ) from error
        if not same:
            changed = f"was changed to {shown(self._source)}; make the dataset again"
            raise OSError(errno.ESTALE, changed, self._name)

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)

    def _from_chunks(self, wanted: RowNumbers, process: _Process) -> AnyArray:
        """Increasing rows, whose chunks are read as a whole."""
        size = self.storage.chunk_rows
        assert size is not None
        numbers = wanted // size
        needed = np.unique(numbers)
        missing = [int(each) for each in needed if int(each) not in process.chunks]
        if missing:
            ends = [min((each + 1) * size, len(self)) for each in missing]
            spans = [np.arange(each * size, end) for each, end in zip(missing, ends, strict=True)]
            read = np.split(self._read(np.concatenate(spans)), np.cumsum([*map(len, spans)])[:-1])
            process.chunks.update(zip(missing, read, strict=True))
        out: AnyArray = np.ndarray((len(wanted), *self.row_shape), self.dtype)
        for number in needed:
            mine = numbers == number
            out[mine] = process.chunks[int(number)][wanted[mine] - number * size]
            process.chunks.move_to_end(int(number))
        while len(process.chunks) > max(self._kept_chunks, len(needed)):
            process.chunks.popitem(last=False)
        return out

    def _read(self, rows: RowNumbers) -> AnyArray:
        """Increasing rows, by one request if the object allows."""
        if len(rows) == rows[-1] - rows[0] + 1:
            return self._slice(int(rows[0]), int(rows[-1]) + 1)
        if self._takes_lists:
            try:
                by_axis = getattr(self._source, "oindex", self._source)
                return self._checked(by_axis[rows], rows)
            except Exception:
                # It does not take lists, or one of the rows cannot be read.
                read = self._read_slices(rows)
                self._takes_lists = False
                return read
        return self._read_slices(rows)

    def _read_slices(self, rows: RowNumbers) -> AnyArray:
        out: AnyArray = np.ndarray((len(rows), *self.row_shape), self.dtype)
        done = 0
        for together in read_together(rows, self.storage.chunk_rows):
            begin = int(together[0])
            read = self._slice(begin, int(together[-1]) + 1)
            out[done : done + len(together)] = read[together - begin]
            done += len(together)
        return out

    def _slice(self, begin: int, end: int) -> AnyArray:
        try:
            return self._checked(self._source[begin:end], np.arange(begin, end))
        except Exception as error:
            if end - begin == 1:
                if isinstance(error, _Lie):
                    raise ValueError(str(error)) from None
                raise OSError(
                    f"{self._name}: row {begin} cannot be read: {type(error).__name__}: {error}"
                ) from error
            # One by one, to name the row.
            rows = [self._slice(row, row + 1) for row in range(begin, end)]
            return np.concatenate(rows)

    def _checked(self, read: Any, rows: RowNumbers) -> AnyArray:
        """The rows that were read, if they are what was promised."""
        array = np.asarray(read)
        if array.shape != (len(rows), *self.row_shape) or native(array.dtype) != self.dtype:
            raise _Lie(
                f"{self._name}: row {rows[0]} was read as an array of shape {array.shape[1:]} and "
                f"dtype {array.dtype}"
                if array.shape[:1] == (len(rows),)
                else f"{self._name}: {len(rows):,} rows from row {rows[0]} on were read as an "
                f"array of shape {array.shape}"
            )
        return to_native(array)


class _Lie(ValueError):
    """What was read is not what shape and dtype promised."""
