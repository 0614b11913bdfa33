"""The NumPy backend: short and plain, because it is the specification of the native one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npyfast._backends.fields import AnyArray, check_nesting, split
from npyfast._backends.file_status import FileState, RegularChecks
from npyfast._backends.header import (
    Header,
    LocatedHeader,
    look_at_header_numpy,
    parse_header_numpy,
    refuse_objects,
)
from npyfast._backends.interface import OpenedLeaf
from npyfast._backends.numpy_leaf import File, NumpyLeaf, RowFiles, check_file
from npyfast._backends.numpy_stream import Item, NumpyCounters, NumpyStream
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._memory import memory_limit
from npyfast._nest import leaves
from npyfast._options import Readahead
from npyfast._order.plan import Plan, Run
from npyfast._order.selection import RowNumbers

NAME = "numpy"
NATIVE_STREAMS = False
READS_AHEAD = False
SERVES_GRAPHS = False


def usable_memory() -> int | None:
    """Bytes of memory that this process may use."""
    return memory_limit()


def read_header(path: str) -> Header:
    """The header of a file, by numpy.lib.format."""
    return look_at_header_numpy(path).header


def parse_header(data: bytes) -> Header:
    """The header that these bytes begin with."""
    return Header(*parse_header_numpy(data))


def open(
    files: Sequence[str],
    located: Sequence[LocatedHeader] | None = None,
    *,
    map_now: bool = True,
    view: RowView = PLAIN,
) -> NumpyLeaf:
    """Opens the files of one array."""
    if located is None:
        located = [look_at_header_numpy(path) for path in files]
    first = located[0].header
    opened = []
    for path, (header, status) in zip(files, located, strict=True):
        check_file(files[0], first, path, header, view)
        opened.append(File(path, header, FileState.of(status)))
    return NumpyLeaf(first.dtype, first.shape, opened, map_now, view)


def open_row_files(files: Sequence[str]) -> RowFiles:
    """The rows of files that hold one each."""
    return RowFiles(files)


def view(memory: AnyArray, view: RowView = PLAIN) -> NumpyLeaf:
    """Rows of an array in memory."""
    if memory.ndim == 0:
        raise ValueError("a 0-dimensional array has no rows")
    refuse_objects("an array in memory", memory.dtype)
    check_nesting(memory.dtype)
    array = np.asarray(memory)
    view.check_fits("an array in memory", array.shape)
    return NumpyLeaf(array.dtype, array.shape, [array], view=view)


def make_counters() -> NumpyCounters:
    """New counters for streams."""
    return NumpyCounters()


def rows_of(plan: Plan) -> Callable[[int, int], RowNumbers]:
    """The rows of each batch; see npyfast._backends.interface.Backend."""
    return plan.rows


def stream(
    leaf_rows: Sequence[OpenedLeaf],
    plan: Plan,
    run: Run,
    *,
    group: int,
    threads: int | None,
    readahead: Readahead,
    counters: NumpyCounters,
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

    return NumpyStream(make, plan, run, group, counters)
