"""The NumPy backend: short and plain, because it is the specification of the native one."""

from __future__ import annotations

import errno
import functools
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from npyfast._backends.cast import Cast
from npyfast._backends.converted import Converted
from npyfast._backends.fields import AnyArray, check_nesting, native, split, to_native
from npyfast._backends.file_status import FileState, RegularChecks, WatchedFile, absolute_path
from npyfast._backends.header import Header, LocatedHeader, look_at_header_numpy, read_header_numpy
from npyfast._backends.interface import OpenedLeaf
from npyfast._errors import printable
from npyfast._nest import leaves
from npyfast._order.plan import Plan, RowNumbers, Run, resolve_rows

NAME = "numpy"
ITERATOR = None


def read_header(path: str) -> Header:
    """The header of a file, by numpy.lib.format."""
    return read_header_numpy(path)


class File(WatchedFile):
    """A file of an array."""

    def __init__(self, path: str, header: Header, state: FileState) -> None:
        super().__init__(path, state)
        self.header = header

    def __len__(self) -> int:
        return self.header.shape[0]

    def map(self) -> AnyArray:
        """Maps it. Raises OSError where it is not the same any more."""
        header = self.header
        if 0 in header.shape or header.dtype.itemsize == 0:
            return np.ndarray(header.shape, header.dtype)  # not np.zeros, which makes "S1" of "S0"
        mapped = _mappings.get(self.state)
        if mapped is None:
            with self.opened() as file:
                mapped = _mappings[self.state] = np.memmap(file, np.uint8, "r")
        order: Any = "F" if header.fortran_order else "C"
        return np.ndarray(header.shape, header.dtype, mapped.data, header.data_offset, order=order)


# Of a file that holds several arrays there is one mapping.
_mappings: WeakValueDictionary[FileState, np.memmap[Any, Any]] = WeakValueDictionary()

# Each file that is mapped has a descriptor, of which a process has few. The files of an array of
# few are mapped for good, which keeps those that are removed or replaced later.
_MAPPED_FOR_GOOD = 128
_MAPPED_OF_MANY = 32


class NumpyLeaf:
    """The rows of files that are concatenated along axis 0, or of an array in memory."""

    def __init__(
        self, dtype: np.dtype[Any], row_shape: tuple[int, ...], shards: Sequence[File | AnyArray]
    ) -> None:
        self._files = [shard for shard in shards if isinstance(shard, File)]
        self._shards = [shard for shard in shards if len(shard)]
        self._first_rows = np.cumsum([0] + [len(shard) for shard in self._shards])
        few = len(self._shards) <= _MAPPED_FOR_GOOD
        self._mapped = functools.lru_cache(None if few else _MAPPED_OF_MANY)(File.map)
        self.dtype = native(dtype)
        self.row_shape = row_shape
        for shard in self._shards:
            if few and isinstance(shard, File):
                self._mapped(shard)

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        files = [shard for shard in self._shards if isinstance(shard, File)]
        return [(file.path, len(file)) for file in files]

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        self._check_bytes(len(rows))
        if len(self._shards) == 1 and self.dtype.itemsize:
            return self._take(0, resolve_rows(rows, len(self)))
        # Not np.empty, which makes "S1" of "S0".
        out: AnyArray = np.ndarray((len(rows), *self.row_shape), self.dtype)
        self.take_into(rows, out, threads)
        return out

    def take_stored(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        """Rows of memory as they lie there: of fields that overlap each has its own byte order."""
        if len(self._shards) != 1 or isinstance(self._shards[0], File) or not self.dtype.itemsize:
            return self.take(rows, threads)
        self._check_bytes(len(rows))
        stored: AnyArray = self._shards[0][resolve_rows(rows, len(self))]
        return stored

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        rows = resolve_rows(rows, len(self))
        if self.dtype.itemsize == 0:
            return  # NumPy would go through all 2**80 items
        which = np.searchsorted(self._first_rows, rows, side="right") - 1
        for shard in np.unique(which):
            mine = which == shard
            out[mine] = self._take(shard, rows[mine] - self._first_rows[shard])

    def _check_bytes(self, count: int) -> None:
        """Raises what NumPy raises for a few rows less."""
        if count * math.prod(self.row_shape) * self.dtype.itemsize >= 2**63:
            raise MemoryError(f"{count:,} rows take 2**63 bytes or more")

    def _take(self, shard: int, rows: RowNumbers) -> AnyArray:
        """Rows of one shard, by their numbers in it."""
        array = self._shards[shard]
        if not isinstance(array, File):
            return to_native(array[rows])
        array.check_unchanged()  # first: reading beyond the end would end the process
        taken = to_native(self._mapped(array)[rows])
        array.check_unchanged()  # what was changed meanwhile has no place in a batch
        return taken

    def check_files(self) -> None:
        for shard in self._files:
            shard.check_unchanged()

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)


# How often a file of one row is read until it stays the same meanwhile: another one may have taken
# its place.
_READ_AGAIN = 4


class RowFiles:
    """The rows of files that hold one each, opened when a row is taken."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = [absolute_path(path) for path in files]
        self._first = read_header(files[0])
        _refuse_objects(files[0], self._first.dtype)
        self.dtype = native(self._first.dtype)
        self.row_shape = self._first.shape

    def __len__(self) -> int:
        return len(self._files)

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return [(path, 1) for path in self._files]

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        out: AnyArray = np.ndarray((len(rows), *self.row_shape), self.dtype)
        self.take_into(rows, out, threads)
        return out

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        for i, row in enumerate(resolve_rows(rows, len(self))):
            read = self._read(self._files[row])
            if read is not None:
                out[i] = read

    def _read(self, path: str) -> AnyArray | None:
        """The row in a file; None for one of no bytes, which np.load can't read."""
        for _ in range(_READ_AGAIN):
            header, status = look_at_header_numpy(path)
            _refuse_objects(path, header.dtype)
            _check_alike("files", "shape", self._files[0], self._first, path, header)
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
        """They are looked at whenever they are read."""

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)


def open(files: Sequence[str], located: Sequence[LocatedHeader] | None = None) -> NumpyLeaf:
    """Maps the shards of one array."""
    if located is None:
        located = [look_at_header_numpy(path) for path in files]
    first = located[0][0]
    shards = []
    for path, (header, status) in zip(files, located, strict=True):
        _check_shard(files[0], first, path, header)
        shards.append(File(path, header, FileState.of(status)))
    return NumpyLeaf(first.dtype, first.shape[1:], shards)


def open_row_files(files: Sequence[str]) -> RowFiles:
    """The rows of files that hold one each."""
    return RowFiles(files)


def _refuse_objects(path: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        path = printable(path)
        raise TypeError(
            f"{path}: holds Python objects (dtype object), which npyfast never unpickles; "
            "save the array with a numeric or fixed-length string dtype"
        )


def _check_shard(first: str, expected: Header, path: str, header: Header) -> None:
    _refuse_objects(path, header.dtype)
    if header.shape == ():
        raise ValueError(f"{printable(path)}: holds a 0-dimensional array, which has no rows")
    rows_apart = replace(expected, shape=expected.shape[1:])
    _check_alike(
        "shards", "row shape", first, rows_apart, path, replace(header, shape=header.shape[1:])
    )


def _check_alike(
    what: str, shape: str, first: str, expected: Header, path: str, header: Header
) -> None:
    first, path = printable(first), printable(path)
    if header.dtype != expected.dtype:
        raise ValueError(
            f"the {what} of one array must have one dtype: {first} has {expected.dtype}, "
            f"{path} has {header.dtype}"
        )
    if header.shape != expected.shape:
        raise ValueError(
            f"the {what} of one array must have one {shape}: {first} has {expected.shape}, "
            f"{path} has {header.shape}"
        )


def view(memory: AnyArray) -> NumpyLeaf:
    """Rows of an array in memory."""
    if memory.ndim == 0:
        raise ValueError("a 0-dimensional array has no rows")
    if memory.dtype.hasobject:
        raise TypeError(
            "an array in memory: holds Python objects (dtype object), which npyfast never "
            "unpickles; save the array with a numeric or fixed-length string dtype"
        )
    check_nesting(memory.dtype)
    array = np.asarray(memory)
    return NumpyLeaf(array.dtype, array.shape[1:], [array])


def can_read(rows: OpenedLeaf) -> bool:
    """Whatever has rows to take."""
    return True


class NumpyCounters:
    """What streams count together, without a call in between: nobody sees a count half done."""

    def __init__(self) -> None:
        self.batches = self.rows = self.bytes = self.waits = self.wait_ns = 0

    def counters(self) -> tuple[int, ...]:
        # Nothing is made ahead, and nothing read but by the copy itself.
        return self.batches, self.rows, self.bytes, self.waits, self.wait_ns, 0, 0, 0


def statistics() -> NumpyCounters:
    """New counters for streams."""
    return NumpyCounters()


class Item(NamedTuple):
    """An element, and what there is to count of it."""

    element: Any
    batches: int
    rows: int
    bytes: int


class Place(NamedTuple):
    """Where an item begins, and how many batches it may have."""

    epoch: int
    batch: int
    size: int


class NumpyStream:
    """The batches of a run, each made when it is asked for.

    An error is raised in the place of its item; of several batches, those that can be made come one
    by one. What is no Exception interrupts: the item has not been handed over, and comes again. As
    in _transform.py, the last steps are without a call, and so those that take a place.
    """

    def __init__(
        self,
        make: Callable[[RowNumbers, int], Item],
        plan: Plan,
        run: Run,
        group: int,
        statistics: NumpyCounters,
    ) -> None:
        self.position = 0
        self._make = make
        self._plan = plan
        self._run = run
        self._group = group
        self._statistics = statistics
        # The first items grow up to a group.
        self._next = self._place(run.start_epoch, run.start_batch, 1)
        self._before: list[Place] = []  # places that come before the next one
        self._known = (-1, 0, np.empty((0, 0), np.int64))  # epoch, batch; rows from there on

    def __iter__(self) -> NumpyStream:
        return self

    def __next__(self) -> Any:
        begin = time.perf_counter_ns()
        taken: list[Place] = []
        try:
            while self._take(taken):
                try:
                    item = self._item(taken[0])
                except Exception:
                    alone = self._alone(taken[0])
                    if not alone:
                        raise
                    self._before = alone + self._before
                    taken.clear()
                    continue
                wait_ns = time.perf_counter_ns() - begin
                counted = self._statistics
                counted.batches += item.batches
                counted.rows += item.rows
                counted.bytes += item.bytes
                counted.waits += 1
                counted.wait_ns += wait_ns
                self.position += 1
                return item.element
        except Exception:
            self.position += 1
            raise
        except BaseException:
            self._before = taken + self._before
            raise
        raise StopIteration

    def close(self) -> None:
        self._next = None
        self._before = []

    def _place(self, epoch: int, batch: int, size: int) -> Place | None:
        """What begins there, or in the next epoch; None at the end of the run."""
        plan, run = self._plan, self._run
        if batch >= plan.batches:
            epoch, batch, size = epoch + 1, 0, self._group
        ended = 0 <= run.epochs <= epoch - run.start_epoch
        return None if ended or plan.batches == 0 else Place(epoch, batch, size)

    def _batches(self, place: Place) -> int:
        """A short last batch is never part of a group."""
        return max(1, min(place.size, self._plan.full_batches - place.batch))

    def _take(self, taken: list[Place]) -> bool:
        """Adds the place that comes next; False if there is none."""
        while not self._before:
            place = self._next
            if place is None:
                return False
            behind = place.batch + self._batches(place)
            following = self._place(place.epoch, behind, min(2 * place.size, self._group))
            if self._next is place:  # and no other reader was faster
                self._next = following
                taken += [place]
                return True
        taken += self._before[:1]
        del self._before[:1]
        return True

    def _alone(self, place: Place) -> list[Place]:
        """The batches of an item of several, each by itself."""
        batches = self._batches(place)
        each = [Place(place.epoch, place.batch + i, 1) for i in range(batches)]
        return each if batches > 1 else []

    def _item(self, place: Place) -> Item:
        batches = self._batches(place)
        return self._make(self._rows(place, batches), batches)

    def _rows(self, place: Place, batches: int) -> RowNumbers:
        plan = self._plan
        epoch, first, rows = self._known
        begin = place.batch - first
        if epoch != place.epoch or begin < 0 or begin + batches > len(rows):
            # The order costs some 80 us whatever it is asked for: it is asked for many at once.
            some = min(_ROWS_AT_ONCE // plan.batch_size, plan.full_batches - place.batch)
            many = max(some, batches)
            rows = plan.rows(place.epoch, place.batch, many).reshape(many, -1)
            self._known = (place.epoch, place.batch, rows)
            begin = 0
        return rows[begin : begin + batches].reshape(-1)


_ROWS_AT_ONCE = 4096


def stream(
    leaf_rows: Sequence[OpenedLeaf],
    plan: Plan,
    run: Run,
    *,
    group: int,
    threads: int | None,
    readahead: str,
    statistics: NumpyCounters,
    pack: Callable[..., Any] | None,
    records: bool = False,
) -> NumpyStream:
    """The batches of a run; see npyfast._backends.interface.Backend."""

    def check_files() -> None:
        for leaf in leaf_rows:
            leaf.check_files()

    checks = RegularChecks(check_files)

    def make(rows: RowNumbers, batches: int) -> Item:
        checks()
        if records:
            flat = [leaf.take(rows, threads) for leaf in leaf_rows]
        else:
            stored = [getattr(leaf, "take_stored", leaf.take)(rows, threads) for leaf in leaf_rows]
            flat = [column for leaf in stored for column in leaves(split(leaf))]
        if group > 1:
            shape = (batches, len(rows) // batches)
            flat = [column.reshape(*shape, *column.shape[1:]) for column in flat]
        size = sum(column.nbytes for column in flat)
        only = flat[0] if len(flat) == 1 else tuple(flat)
        return Item(only if pack is None else pack(*flat), batches, len(rows), size)

    return NumpyStream(make, plan, run, group, statistics)
