"""Views of leaves that are read in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from npyfast._backends.cast import Cast
from npyfast._backends.converted import Converted
from npyfast._backends.fields import AnyArray
from npyfast._backends.interface import OpenedLeaf
from npyfast._backends.row_view import RowView
from npyfast._order.selection import RowNumbers, resolve_rows


class ViewedLeaf:
    """Windows over axis 0, and a slice, of the rows of another leaf, which reads each of its rows
    once for a batch."""

    cast: Cast | None = None

    def __init__(self, rows: OpenedLeaf, view: RowView) -> None:
        if len(view.window) > 1:
            raise ValueError(
                f"windows over {len(view.window)} axes need data that can be mapped: npyfast pack "
                "writes it"
            )
        self._rows = rows
        self.view = view
        self.dtype = rows.dtype
        self.storage = rows.storage
        if rows.storage.kind == "python":
            self.storage = replace(rows.storage, chunk_rows=None)  # which counts other rows
        self.row_shape = view.window + rows.row_shape
        self._has_files = bool(rows.parts())
        found = rows.parts() or [("", len(rows))]
        self._parts = [(path, count) for path, count in found if count]
        counts = [count for _, count in self._parts]
        self._stored_rows = np.cumsum([0, *counts])
        self._sliced = view.sliced([view.places((count,))[0] for count in counts])
        self._first_rows = np.cumsum([0, *(len(mine) for mine in self._sliced)])

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        if not self._has_files:
            return []
        sliced = zip(self._parts, self._sliced, strict=True)
        return [(path, len(mine)) for (path, _), mine in sliced if len(mine)]

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        rows = resolve_rows(rows, len(self))
        which = np.searchsorted(self._first_rows, rows, side="right") - 1
        starts = np.array([mine.start for mine in self._sliced], np.int64)
        steps = np.array([mine.step for mine in self._sliced], np.int64)
        numbers = starts[which] + (rows - self._first_rows[which]) * steps[which]
        stride = self.view.stride[0] if self.view.window else 1
        firsts = self._stored_rows[which] + numbers * stride
        if not self.view.window:
            return self._rows.take(firsts, threads)
        wanted = np.add.outer(firsts, np.arange(self.view.window[0])).reshape(-1)
        return self._rows.take(wanted, threads).reshape(len(rows), *self.row_shape)

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        out[...] = self.take(rows, threads)

    def check_files(self) -> None:
        self._rows.check_files()

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)
