"""Where a sandbox or an old kernel refuses system calls, batches are the same, without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from backends import BACKENDS
from processes import run
from refused_calls import CALLS


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "calls",
    [CALLS, ("madvise",), ("fadvise64",), ("preadv2", "cachestat")],
    ids=["all", "madvise", "fadvise", "looks"],
)
def test_the_rows_are_right(tmp_path: Path, calls: tuple[str, ...], backend: str) -> None:
    path = tmp_path / "X.npy"
    rows = np.random.default_rng(0).random((5000, 100)).astype("f4")
    rows[:, 0] = np.arange(len(rows))
    np.save(path, rows)
    assert run("read_without_calls.py", path, *calls, backend=backend) == "fine"
