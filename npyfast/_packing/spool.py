"""Temporary files beside the output of a pack."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from npyfast._backends import backend
from npyfast._order.selection import RowChoice
from npyfast._packing.names import partial
from npyfast._packing.output import Output
from npyfast._packing.packed_rows import PackedRows, Progress
from npyfast._packing.unpacking import unpacked
from npyfast._packing.written_file import UnpackedFile
from npyfast._sources.opening import Opening
from npyfast._sources.source import Source


class Spool:
    """Writes temporary files beside the output, for rows that cannot be read in any order."""

    def __init__(
        self,
        output: Output,
        flusher: ThreadPoolExecutor,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self._output = output
        self._flusher = flusher
        self._progress = progress
        self._done = self._total = 0

    def work(
        self, leaf: Source, opening: Opening, rows: RowChoice, shuffle: bool, seed: int | None
    ) -> PackedRows:
        """The rows to be written."""
        leaf = unpacked(
            leaf, opening, self._output.scratch.path, self._create, self._output.require
        )
        with warnings.catch_warnings():
            # The warning about a slow source recommends packing it.
            warnings.filterwarnings("ignore", message=".*npyfast pack", category=RuntimeWarning)
            opened = leaf.open(opening)
        in_any_order = not shuffle or opened.storage.kind != "h5py"
        work = PackedRows(opened, rows, shuffle, seed, self._progress)
        if in_any_order:
            return work
        # In random order h5py would read a whole chunk for each row. The rows are written in file
        # order first; the shuffled order depends on their number only.
        in_order = PackedRows(opened, rows, False, None, None)
        size = in_order.count * in_order.row_bytes
        with self._create(
            os.path.join(self._output.scratch.path, partial("rows.npy")), size
        ) as file:
            file.write(in_order.header(in_order.count))
            for piece in in_order.chunks():
                file.write(piece.reshape(-1).data)
        reopened = backend().open([file.path])
        return PackedRows(reopened, None, shuffle, work.seed, self._progress)

    def report_checked(self, done: int, total: int) -> None:
        """Reports how many bytes of archives have had their checksums verified."""
        if self._progress is not None:
            self._progress(Progress("checking", 0, 0, done, total, None))

    def _create(self, path: str, size: int) -> UnpackedFile:
        """A temporary file for `size` bytes."""
        self._output.require(size)
        self._total += size
        file = self._output.scratch.create(path)
        return UnpackedFile(path, file, self._flusher, self._tell)

    def _tell(self, written: int) -> None:
        self._done += written
        if self._progress is not None:
            done = min(self._done, self._total)  # without headers
            self._progress(Progress("unpacking", 0, 0, done, self._total, None))
