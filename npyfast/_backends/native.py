"""The native backend: npyfast._core behind the same functions as the NumPy one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from npyfast import _core
from npyfast._fields import AnyArray, columns, native
from npyfast._header import Header, read_header_native
from npyfast._nest import leaves
from npyfast._plan import Plan, RowNumbers, Run

NAME = "native"

# Asking reads some files of /proc and /sys: once is enough.
usable_cpus = functools.cache(_core.usable_cpus)


def read_header(path: str) -> Header:
    """The header of a file, by the core's own parser."""
    return read_header_native(path)


class Rows:
    """Rows that the core has mapped or views."""

    def __init__(
        self, array: _core.Array, dtype: np.dtype[np.generic], files: Sequence[str] = ()
    ) -> None:
        self._array = array
        self.files = files
        self.dtype = native(dtype)
        self.row_shape = array.row_shape
        self._records = _core.Gather(array, False, [(self.dtype, self.row_shape)])

    def __len__(self) -> int:
        return self._array.rows

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        return self._records.take(rows, threads or usable_cpus())[0]

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        self._records.take_into(rows, out, threads or usable_cpus())

    @property
    def file_bytes(self) -> int:
        """Bytes of all files together; 0 for memory."""
        return self._array.file_bytes

    @property
    def stamps(self) -> list[tuple[int, int, int]]:
        """What tells whether each file is still the same: inode, size, time of change."""
        return self._array.stamps

    @property
    def row_type(self) -> str:
        """Dtype and shape of a row, in words."""
        return self._array.row_type

    def columns(self) -> _core.Gather:
        """Copies rows into one array for each field."""
        specs = [(c.dtype, c.shape) for c in leaves(columns(self.dtype, self.row_shape))]
        return _core.Gather(self._array, True, specs)


def open(files: Sequence[str]) -> Rows:
    """Maps the shards of one array."""
    array = _core.Array.open([os.fsencode(path) for path in files])
    return Rows(array, array.dtype, files)


def view(memory: AnyArray) -> Rows:
    """Rows of an array in memory."""
    return Rows(_core.Array.view(memory), memory.dtype)


def statistics() -> _core.Statistics:
    """New counters for streams."""
    return _core.Statistics()


def stream(
    leaf_rows: Sequence[Rows],
    plan: Plan,
    run: Run,
    *,
    group: int,
    threads: int | None,
    readahead: str,
    statistics: _core.Statistics,
    pack: Callable[..., Any] | None,
) -> _core.Stream:
    """The batches of a run; see npyfast._backends.Backend."""
    selection = plan.selection
    return _core.Stream(
        leaves=[leaf.columns() for leaf in leaf_rows],
        plan=_core.Plan(
            start=selection.start,
            step=selection.step,
            size=selection.size,
            list=selection.list,
            batch_size=plan.batch_size,
            seed=plan.seed,
            blocks=plan.blocks,
            shard_index=plan.shard_index,
            shard_count=plan.shard_count,
            drop_remainder=plan.drop_remainder,
        ),
        start_epoch=run.start_epoch,
        start_batch=run.start_batch,
        epochs=run.epochs,
        group=group,
        threads=threads or usable_cpus(),
        readahead=readahead,
        statistics=statistics,
        pack=pack,
    )
