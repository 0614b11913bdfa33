"""The rows that are measured: random bytes, which no disk can compress."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
from workloads import Workload, make_file


@dataclasses.dataclass(frozen=True)
class RowSize:
    """Rows of one size, the batches they come in, and what the disk is asked for a row."""

    name: str
    shape: tuple[int, ...]
    batch: int
    # Of the 4 KiB pages that hold a row, the nearest whole number on average: 1.2, 4.0 and 38.5,
    # rows being where the file's header of 128 bytes leaves them.
    request_bytes: int

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape))

    def workload(self, file_bytes: int) -> Workload:
        """A file of about `file_bytes`."""
        rows = file_bytes // self.row_bytes
        return Workload(f"cold-{self.name}", rows, self.shape, np.dtype("u1"))


# Small rows in larger batches: with 64 of them Python would be asked for 25,000 batches a second.
ROW_SIZES: dict[str, RowSize] = {
    each.name: each
    for each in (
        RowSize("768B", (16, 16, 3), 256, 4 << 10),
        RowSize("12KiB", (64, 64, 3), 64, 16 << 10),
        RowSize("150KiB", (200, 256, 3), 64, 152 << 10),
    )
}


def make(workload: Workload, folder: Path) -> Path:
    """The workload's file, with nothing of it left to be written to the disk."""
    path = make_file(workload, folder)
    os.sync()
    return path
