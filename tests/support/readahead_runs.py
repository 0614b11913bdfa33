"""Reading a file in a memory cgroup that it does not fit in, for both `batches` and `dataset`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cgroups
import numpy as np
import processes
from cached import evict

MIB = 1 << 20

# Rows of 12 KiB: some of them share pages.
WIDTH = 12 * 128


def make_file(path: Path, mib: int) -> int:
    """A file of so many MiB, row i the number i again and again; returns the number of rows."""
    rows = mib * MIB // (8 * WIDTH)
    array = np.lib.format.open_memmap(path, "w+", np.int64, (rows, WIDTH))
    for first in range(0, rows, 1024):
        numbers = np.arange(first, min(first + 1024, rows))
        array[first : first + len(numbers)] = numbers[:, None]
    del array
    evict(str(path))
    return rows


def run(path: Path, limit_mib: int, *, engine: str = "batches", **options: Any) -> dict[str, Any]:
    """What one epoch gave, read by a process of its own with so much memory for file and all."""
    with cgroups.memory_cgroup(limit_mib * MIB) as procs:
        process = processes.start(
            "read_in_a_group.py",
            procs,
            path,
            json.dumps(options),
            engine,
            backend="native",
        )
        out, _ = processes.finish(process)
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found
