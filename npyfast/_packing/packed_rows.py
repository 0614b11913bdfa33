"""The rows that `npyfast.pack` writes, in their order, as bytes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npyfast._backends import backend_for
from npyfast._backends.fields import AnyArray
from npyfast._backends.interface import OpenedLeaf
from npyfast._memory import memory_limit
from npyfast._order.plan import Plan, Run, make_plan
from npyfast._order.selection import RowChoice
from npyfast._packing.holes import clear, holes
from npyfast._packing.packed_header import descr_of, header_text, refuse_unreadable

# Bytes to copy at once: enough to hide Python's overhead, in little memory.
_CHUNK_BYTES = 4 << 20
_SCATTERED_BYTES = 64 << 20
_CHUNKED_BYTES = 256 << 20


class Progress(NamedTuple):
    """How far `npyfast.pack` has come."""

    stage: str  # "unpacking", "checking", "writing" or "verifying"
    rows: int  # rows done in this stage
    total_rows: int
    bytes: int
    total_bytes: int
    seed: int | None  # of the order, drawn if none was given; None without shuffling


class PackedRows:
    """The rows to be written, in their order."""

    def __init__(
        self,
        leaf: OpenedLeaf,
        rows: RowChoice,
        shuffle: bool,
        seed: int | None,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self._leaf = leaf
        self._progress = progress
        self._descr = descr_of(leaf.dtype)
        self.row_bytes = math.prod(leaf.row_shape) * leaf.dtype.itemsize
        self._holes = list(holes(leaf.dtype))
        self._plan: Plan = make_plan(
            len(leaf),
            batch_size=max(1, _chunk_bytes(leaf) // max(1, self.row_bytes)),
            shuffle=shuffle,
            seed=seed,
            drop_remainder=False,
            shard=None,
            rows=rows,
        )
        self.count = self._plan.selection.size
        refuse_unreadable(leaf.dtype, (self.count, *leaf.row_shape))
        self.is_whole = self.count == len(leaf)
        self.seed = self._plan.seed

    def rows_of_files(self, most: int) -> list[int]:
        """The number of rows of each file, so that no file exceeds `most` bytes if possible."""
        if not self.row_bytes:
            return [self.count]
        # Headers are padded for any number of rows, so fewer rows need no longer header.
        room = (most - len(self.header(self.count))) // self.row_bytes
        files = max(1, -(-self.count // max(1, room)))
        bounds = [i * self.count // files for i in range(files + 1)]
        return [last - first for first, last in itertools.pairwise(bounds)]

    def header(self, count: int) -> bytes:
        """The header of a file with `count` rows, as NumPy writes it."""
        return header_text(self._descr, (count, *self._leaf.row_shape))

    def chunks(self) -> Iterator[AnyArray]:
        """The bytes of all rows, some MiB at a time: arrays of shape (rows, row_bytes)."""
        if not self.count or not self.row_bytes:
            return
        made_by = backend_for([self._leaf])
        stream = made_by.stream(
            [self._leaf],
            self._plan,
            Run(),
            group=1,
            threads=None,
            readahead="auto",
            counters=made_by.make_counters(),
            pack=None,
            records=True,
        )
        try:
            for chunk in stream:
                items = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
                # Padding has no meaning, and equal rows must give equal files.
                clear(self._holes, items, chunk.dtype.itemsize)
                yield items.reshape(len(chunk), self.row_bytes)
        finally:
            stream.close()

    def pieces(self, counts: Sequence[int]) -> Iterator[tuple[int, int, AnyArray]]:
        """The chunks, cut where a file ends: the file's number, the first row in it, and the
        bytes."""
        number = first = 0
        for chunk in self.chunks():
            while len(chunk):
                while first == counts[number]:
                    number, first = number + 1, 0
                piece = chunk[: counts[number] - first]
                yield number, first, piece
                first += len(piece)
                chunk = chunk[len(piece) :]

    def report(self, stage: str, rows: int) -> None:
        """Reports how far a stage has come."""
        if self._progress is not None:
            size = self.row_bytes
            self._progress(
                Progress(stage, rows, self.count, rows * size, self.count * size, self.seed)
            )


def _chunk_bytes(leaf: OpenedLeaf) -> int:
    """How many bytes to copy at once."""
    storage = leaf.storage
    if storage.chunk_rows:
        # Whole HDF5 chunks: h5py would decompress a chunk again for each part of it.
        chunk_bytes = storage.chunk_rows * math.prod(leaf.row_shape) * leaf.dtype.itemsize
        wanted = max(1, _CHUNK_BYTES // max(1, chunk_bytes)) * chunk_bytes
        most = _CHUNKED_BYTES
    elif storage.kind == "mapped" and not storage.dense:
        # In Fortran order each page holds a bit of every row: more rows at once are better.
        wanted = most = _SCATTERED_BYTES
    else:
        return _CHUNK_BYTES
    limit = memory_limit()
    return min(wanted, most if limit is None else min(most, limit // 16))
