"""A disk that does not answer stops nobody but who reads from it, and nobody is deaf meanwhile."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import processes
import pytest
import slow_disk

pytestmark = [pytest.mark.usefixtures("native"), pytest.mark.slow]

CASES = [
    ("rows", {"threads": 1}),
    ("rows", {"threads": 16}),
    *(("files", {"threads": 2, "readahead": r}) for r in ("auto", "off", "whole", "rows")),
]
cases = pytest.mark.parametrize(
    ("kind", "options"), CASES, ids=[f"{k}-{'-'.join(map(str, o.values()))}" for k, o in CASES]
)


def run(tmp_path: Any, action: str, kind: str, options: dict[str, Any], **variables: str) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    for i in range(300):
        row = np.full(8, i)
        np.save(slow / f"{i:03}.npy", row if kind == "rows" else row[None])
    fast = tmp_path / "fast.npy"
    np.save(fast, np.repeat(np.arange(1000)[:, None], 8, axis=1))
    process = processes.start(
        "read_from_a_slow_disk.py",
        slow,
        fast,
        tmp_path / "flag",
        action,
        kind,
        json.dumps(options),
        backend="native",
        LD_PRELOAD=slow_disk.library(),
        SLOW_FOLDER=str(slow),
        SLOW_FLAG=str(tmp_path / "flag"),
        **variables,
    )
    assert processes.finish(process)[0] == "fine"


@cases
def test_a_disk_that_hangs_stops_nobody_else(
    tmp_path: Any, kind: str, options: dict[str, Any]
) -> None:
    run(tmp_path, "hangs", kind, options)


@pytest.mark.parametrize("threads", [1, 16])
def test_what_hangs_is_dropped_at_once(tmp_path: Any, threads: int) -> None:
    run(tmp_path, "dropped", "rows", {"threads": threads})


@pytest.mark.parametrize("threads", [1, 4])
def test_an_interrupt_gets_through_and_loses_nothing(tmp_path: Any, threads: int) -> None:
    """Each open takes 0.1 s."""
    run(tmp_path, "interrupted", "rows", {"threads": threads}, SLOW_MS="100")
