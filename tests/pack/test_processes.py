"""npyfast.pack in processes that are killed, and in ones that have little memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cgroups
import expected
import numpy as np
import processes
import pytest
from backends import BACKENDS
from cached import evict
from system_calls import CHANGING

import npyfast

pytestmark = pytest.mark.slow

MIB = 1 << 20


@pytest.mark.parametrize(
    ("max_file_size", "overwrite", "compressed", "links"),
    [
        (None, False, False, False),
        (None, False, False, True),  # a filesystem on which names are taken by links
        (None, True, True, False),
        (160, False, False, False),
        (160, False, False, True),
        (160, True, False, False),
    ],
)
def test_a_kill_at_any_point(
    tmp_path: Path, max_file_size: int | None, overwrite: bool, compressed: bool, links: bool
) -> None:
    options = {
        "max_file_size": max_file_size,
        "overwrite": overwrite,
        "compressed": compressed,
        "links": links,
        "verify": True,
    }
    folders = [tmp_path / "out", tmp_path / "archives"]
    for folder in folders:
        folder.mkdir()
    out = processes.run(
        "pack_and_kill.py", *folders, json.dumps(CHANGING), json.dumps(options), backend="numpy"
    )
    found = json.loads(out)
    if max_file_size is None:
        assert found["files"] == ["out.npy"]
        assert found["kills"] > 5
    else:
        assert len(found["files"]) == 3
        assert found["kills"] > 20
        assert overwrite or found["partly"] >= 2  # with one or two of them renamed


def pack_in_group(limit: int, backend: str, source: Any, out: Path, **options: Any) -> int:
    """Packs in a process that has so much memory, page cache and all; returns by how much it
    grew."""
    with cgroups.memory_cgroup(limit) as procs:
        process = processes.start(
            "pack_in_a_group.py", procs, source, out, json.dumps(options), backend=backend
        )
        return int(processes.finish(process)[0])


# Not shuffled by the NumPy backend: nothing is read ahead there, and each row is waited for.
@pytest.mark.parametrize(
    ("backend", "shuffle"),
    [(b, s) for b, s in (("native", False), ("native", True), ("numpy", False)) if b in BACKENDS],
)
def test_more_than_there_is_memory(tmp_path: Path, backend: str, shuffle: bool) -> None:
    rows, width = 21 * 1024, 12 * 1024
    source, out = tmp_path / "in.npy", tmp_path / "out.npy"
    array = np.lib.format.open_memmap(source, "w+", np.int64, (rows, width // 8))
    for first in range(0, rows, 1024):
        array[first : first + 1024] = np.arange(first, first + 1024)[:, None]
    del array
    evict(str(source))
    grown = pack_in_group(
        64 * MIB, backend, source, out, verify=True, shuffle=shuffle, seed=1, max_file_size="150MB"
    )
    assert grown < 48 * MIB
    with npyfast.open(tmp_path / "out-*.npy") as packed:
        assert packed.shape == (rows, width // 8)
        numbers = np.concatenate(
            [packed[first : first + 1024][:, -1] for first in range(0, rows, 1024)]
        )
    assert (numbers == expected.epoch_rows(rows, seed=1 if shuffle else None)).all()
