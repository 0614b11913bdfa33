"""The native backend: npyfast._core with the same functions as the NumPy backend."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npyfast import _core
from npyfast._backends.cast import Cast
from npyfast._backends.fields import AnyArray, check_nesting, columns, native
from npyfast._backends.file_status import FileState
from npyfast._backends.header import Header, LocatedHeader, header_bytes, look_at_header
from npyfast._backends.interface import Counts, Storage
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._nest import leaves
from npyfast._options import Readahead
from npyfast._order.plan import Plan, Run
from npyfast._order.selection import RowNumbers

NAME = "native"
READS_AHEAD = True
NATIVE_STREAMS = True
SERVES_GRAPHS = True


def usable_memory() -> int:
    """Bytes of memory that this process can use now."""
    return _core.usable_memory()


def read_header(path: str) -> Header:
    """The header of a file, by the core's own parser."""
    return look_at_header(path, _core.parse_header).header


def parse_header(data: bytes) -> Header:
    """The header that these bytes begin with."""
    return Header(*_core.parse_header(data))


class NativeLeaf:
    """Rows that the core has mapped, reads or views."""

    def __init__(
        self,
        array: _core.Array,
        dtype: np.dtype[np.generic],
        memory: AnyArray | None = None,
        cast: Cast | None = None,
        row_shape: tuple[int, ...] | None = None,
        view: RowView = PLAIN,
    ) -> None:
        self.array = array
        self.view = view
        dense = array.storage != "mapped" or array.has_dense_rows
        self.storage = Storage(array.storage, dense)
        self.cast = cast
        self._stored = dtype
        self.memory = memory
        self.dtype = native(dtype) if cast is None else cast.dtype
        self.row_shape: tuple[int, ...] = array.row_shape if row_shape is None else row_shape
        self._cast = None
        if cast is not None:
            self._cast = _core.Cast(array, cast.dtype, self.row_shape, cast.scale, cast.shift)
        self._records = _core.Gather(array, False, [(self.dtype, self.row_shape)], self._cast)

    def __len__(self) -> int:
        return self.array.rows

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return self.array.parts

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        return self._records.take(rows, threads or 0)[0]

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        if self.memory is not None and np.may_share_memory(out, self.memory):
            out[...] = self.take(rows, threads)  # rows would be written before they are read
        else:
            self._records.take_into(rows, out, threads or 0)

    def check_files(self) -> None:
        self.array.check_files()

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> NativeLeaf:
        return NativeLeaf(self.array, self._stored, self.memory, cast, row_shape, self.view)

    @property
    def file_bytes(self) -> int:
        """Bytes of all files together; 0 for memory, and for files of one row each."""
        return self.array.file_bytes

    def columns(self) -> _core.Gather:
        """Copies rows into one array for each field."""
        specs = [(c.dtype, c.shape) for c in leaves(columns(self.dtype, self.row_shape))]
        return _core.Gather(self.array, True, specs, self._cast)

    def records(self) -> _core.Gather:
        """Copies rows into one array, whatever fields they have."""
        return self._records


def open(
    files: Sequence[str],
    located: Sequence[LocatedHeader] | None = None,
    *,
    map_now: bool = True,
    view: RowView = PLAIN,
) -> NativeLeaf:
    """Opens the files of one array."""
    paths = [os.fsencode(path) for path in files]
    if located is None:
        array = _core.Array.open(paths, map_now, view.numbers)
        return NativeLeaf(array, array.dtype, view=view)
    array = _core.Array.open_extents(
        [
            (path, header_bytes(header), header.data_offset, FileState.of(status))
            for path, (header, status) in zip(paths, located, strict=True)
        ],
        map_now,
        view.numbers,
    )
    # Not the array's dtype, which knows no types of other packages, such as bfloat16.
    return NativeLeaf(array, located[0].header.dtype, view=view)


def open_row_files(files: Sequence[str]) -> NativeLeaf:
    """The rows of files that hold one each."""
    array = _core.Array.open_row_files([os.fsencode(path) for path in files])
    return NativeLeaf(array, array.dtype)


def view(memory: AnyArray, view: RowView = PLAIN) -> NativeLeaf:
    """Rows of an array in memory."""
    check_nesting(memory.dtype)
    return NativeLeaf(_core.Array.view(memory, view.numbers), memory.dtype, memory, view=view)


class NativeCounters(_core.Statistics):
    """Counters that streams of the core share."""

    def counters(self) -> Counts:
        return Counts(*super().counters())


def make_counters() -> NativeCounters:
    """New counters for streams."""
    return NativeCounters()


def _core_plan(plan: Plan) -> _core.Plan:
    selection = plan.selection
    return _core.Plan(
        start=selection.start,
        step=selection.step,
        size=selection.size,
        list=selection.list,
        order=selection.order,
        batch_size=plan.batch_size,
        seed=plan.seed,
        blocks=plan.blocks,
        shard_index=plan.shard_index,
        shard_count=plan.shard_count,
        drop_remainder=plan.drop_remainder,
    )


def rows_of(plan: Plan) -> Callable[[int, int], RowNumbers]:
    """The rows of each batch; see npyfast._backends.interface.Backend."""
    return _core_plan(plan).rows


def stream(
    leaf_rows: Sequence[NativeLeaf],
    plan: Plan,
    run: Run,
    *,
    group: int,
    threads: int | None,
    readahead: Readahead,
    counters: _core.Statistics,
    pack: Callable[..., Any] | None,
    records: bool = False,
    kind: type[_core.Stream] = _core.Stream,
) -> _core.Stream:
    """The batches of a run; see npyfast._backends.interface.Backend."""
    return kind(
        leaves=[leaf.records() if records else leaf.columns() for leaf in leaf_rows],
        plan=_core_plan(plan),
        start_epoch=run.start_epoch,
        start_batch=run.start_batch,
        epochs=run.epochs,
        group=group,
        threads=threads or 0,
        readahead=readahead,
        statistics=counters,
        pack=pack,
    )
