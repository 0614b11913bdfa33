"""The NumPy backend: short and plain, because it is the specification of the native one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from npyfast._fields import AnyArray, native, split, to_native
from npyfast._header import Header, read_header_numpy
from npyfast._nest import leaves
from npyfast._plan import Plan, RowNumbers, Run, resolve_rows

NAME = "numpy"


def read_header(path: str) -> Header:
    """The header of a file, by numpy.lib.format."""
    return read_header_numpy(path)


class Rows:
    """The rows of arrays that are concatenated along axis 0."""

    def __init__(self, shards: Sequence[AnyArray]) -> None:
        self._shards = [shard for shard in shards if len(shard)]
        self._first_rows = np.cumsum([0] + [len(shard) for shard in self._shards])
        self.dtype = native(shards[0].dtype)
        self.row_shape = shards[0].shape[1:]

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        if len(self._shards) == 1 and self.dtype.itemsize:
            return to_native(self._shards[0][resolve_rows(rows, len(self))])
        # Not np.empty, which makes "S1" of "S0".
        out: AnyArray = np.ndarray((len(rows), *self.row_shape), self.dtype)
        self.take_into(rows, out, threads)
        return out

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        rows = resolve_rows(rows, len(self))
        which = np.searchsorted(self._first_rows, rows, side="right") - 1
        for shard in np.unique(which):
            mine = which == shard
            out[mine] = to_native(self._shards[shard][rows[mine] - self._first_rows[shard]])


def open(files: Sequence[str]) -> Rows:
    """Maps the shards of one array."""
    headers = [read_header(path) for path in files]
    for path, header in zip(files, headers, strict=True):
        _check_shard(files[0], headers[0], path, header)
    return Rows([_map(path, header) for path, header in zip(files, headers, strict=True)])


def _check_shard(first: str, expected: Header, path: str, header: Header) -> None:
    if header.dtype.hasobject:
        raise TypeError(
            f"{path}: holds Python objects (dtype object), which npyfast never unpickles; "
            "save the array with a numeric or fixed-length string dtype"
        )
    if header.shape == ():
        raise ValueError(f"{path}: holds a 0-dimensional array, which has no rows")
    if header.dtype != expected.dtype:
        raise ValueError(
            f"the shards of one array must have one dtype: {first} has {expected.dtype}, "
            f"{path} has {header.dtype}"
        )
    if header.shape[1:] != expected.shape[1:]:
        raise ValueError(
            f"the shards of one array must have one row shape: {first} has {expected.shape[1:]}, "
            f"{path} has {header.shape[1:]}"
        )


def _map(path: str, header: Header) -> AnyArray:
    if 0 in header.shape or header.dtype.itemsize == 0:
        return np.ndarray(header.shape, header.dtype)  # not np.zeros, which makes "S1" of "S0"
    order: Any = "F" if header.fortran_order else "C"
    return np.memmap(path, header.dtype, "r", header.data_offset, header.shape, order)


def view(memory: AnyArray) -> Rows:
    """Rows of an array in memory."""
    if memory.ndim == 0:
        raise ValueError("a 0-dimensional array has no rows")
    if memory.dtype.hasobject:
        raise TypeError(
            "an array in memory: holds Python objects (dtype object), which npyfast never "
            "unpickles; save the array with a numeric or fixed-length string dtype"
        )
    return Rows([np.asarray(memory)])


class Stream:
    """The batches of a run, each made when it is asked for."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._reading = threading.Lock()  # several threads may share a stream
        self.position = 0

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        with self._reading:
            item = next(self._items)
            self.position += 1
        return item

    def close(self) -> None:
        self._items = iter(())


def stream(
    leaf_rows: Sequence[Rows],
    plan: Plan,
    run: Run,
    *,
    group: int,
    threads: int | None,
    readahead: str,
    pack: Callable[..., Any] | None,
) -> Stream:
    """The batches of a run; see npyfast._backends.Backend."""

    def element(rows: RowNumbers, batches: int) -> Any:
        flat = [column for leaf in leaf_rows for column in leaves(split(leaf.take(rows, threads)))]
        if group > 1:
            shape = (batches, len(rows) // batches)
            flat = [column.reshape(*shape, *column.shape[1:]) for column in flat]
        if pack is not None:
            return pack(*flat)
        return flat[0] if len(flat) == 1 else tuple(flat)

    return Stream(element(rows, batches) for rows, batches in _items(plan, run, group))


# The order in NumPy costs some 80 us whatever it is asked for: it is asked for many rows at once.
_ROWS_AT_ONCE = 4096


def _items(plan: Plan, run: Run, group: int) -> Iterator[tuple[RowNumbers, int]]:
    """The rows of each item of a run, and of how many batches they are."""
    epoch, batch = run.start_epoch, run.start_batch
    size = 1  # of the next item; the first ones grow up to a group
    while plan.batches and (run.epochs < 0 or epoch < run.start_epoch + run.epochs):
        while batch < plan.full_batches:
            at_once = max(size, _ROWS_AT_ONCE // (group * plan.batch_size) * group)
            batches = min(at_once if size == group else size, plan.full_batches - batch)
            rows = plan.rows(epoch, batch, batches).reshape(batches, plan.batch_size)
            for first in range(0, batches, size):
                item = rows[first : first + size]
                yield item.reshape(-1), len(item)
            batch += batches
            size = min(2 * size, group)
        if batch < plan.batches:  # a short last batch is never part of a group
            yield plan.rows(epoch, batch), 1
        epoch, batch, size = epoch + 1, 0, group
