"""Rows that are reshaped and cast when they are taken: by NumPy, the specification."""

from __future__ import annotations

from collections.abc import Sequence

from npyfast._backends.cast import Cast
from npyfast._backends.fields import AnyArray
from npyfast._backends.interface import OpenedLeaf
from npyfast._order.selection import RowNumbers


class Converted:
    """The rows of another leaf, in another shape, dtype or both."""

    def __init__(
        self, rows: OpenedLeaf, cast: Cast | None, row_shape: tuple[int, ...] | None
    ) -> None:
        self._rows = rows
        self.storage = rows.storage
        self.cast = cast
        self.view = rows.view
        self.dtype = rows.dtype if cast is None else cast.dtype
        self.row_shape = rows.row_shape if row_shape is None else row_shape

    def __len__(self) -> int:
        return len(self._rows)

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return self._rows.parts()

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        taken = self._rows.take(rows, threads).reshape(len(rows), *self.row_shape)
        return taken if self.cast is None else self.cast(taken)

    def take_stored(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        """As the other's `take_stored`, where it has one and there is no cast."""
        if self.cast is not None or not hasattr(self._rows, "take_stored"):
            return self.take(rows, threads)
        stored: AnyArray = self._rows.take_stored(rows, threads)
        return stored.reshape(len(rows), *self.row_shape)

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        out[...] = self.take(rows, threads)

    def keep_chunks(self, block_rows: int, window_rows: int) -> None:
        """As the other's `keep_chunks`, which it must have."""
        self._rows.keep_chunks(block_rows, window_rows)  # type: ignore[attr-defined]

    def check_files(self) -> None:
        self._rows.check_files()

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)
