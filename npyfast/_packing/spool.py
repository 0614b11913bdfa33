"""Temporary files beside the output of a pack."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from npyfast._backends import backend
from npyfast._packing.names import partial
from npyfast._packing.output import Output
from npyfast._packing.packed_rows import PackedRows, Progress
from npyfast._packing.unpacking import unpacked
from npyfast._packing.written_file import UnpackedFile
from npyfast._sources.opening import Opening
from npyfast._sources.source import Source


class Spool:
    """Temporary files beside the output, of what can't be read in any order as it is."""

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
        self, leaf: Source, opening: Opening, rows: Any, shuffle: bool, seed: Any
    ) -> PackedRows:
        """The rows to be written."""
        leaf = unpacked(
            leaf, opening, self._output.scratch.path, self._create, self._output.require
        )
        with warnings.catch_warnings():
            # What npyfast says of a slow source is to pack it.
            warnings.filterwarnings("ignore", message=".*npyfast pack", category=RuntimeWarning)
            opened = leaf.open(opening)
        in_any_order = not shuffle or opened.storage.kind != "h5py"
        work = PackedRows(opened, rows, shuffle, seed, self._progress)
        if in_any_order:
            return work
        # In random order each row would take a chunk. The order of an epoch knows the number of
        # rows only, not which ones they are.
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
        """Tells how many bytes of archives have had their checksums compared."""
        if self._progress is not None:
            self._progress(Progress("checking", 0, 0, done, total, None))

    def _create(self, path: str, size: int) -> UnpackedFile:
        """A temporary file for so many bytes."""
        self._output.require(size)
        self._total += size
        file = self._output.scratch.create(path)
        return UnpackedFile(path, file, self._flusher, self._tell)

    def _tell(self, written: int) -> None:
        self._done += written
        if self._progress is not None:
            done = min(self._done, self._total)  # without headers
            self._progress(Progress("unpacking", 0, 0, done, self._total, None))
