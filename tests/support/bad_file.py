"""An array of one file a row, of which one can no longer be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npyfast

ROWS = 12
BAD = 6  # the row whose file can't be read


def _remove(path: str) -> None:
    os.remove(path)


def _truncate(path: str) -> None:
    os.truncate(path, 130)


def _replace(path: str) -> None:
    os.remove(path)
    np.save(path, np.zeros(3))


@pytest.fixture(params=[_remove, _truncate, _replace], ids=["missing", "truncated", "another"])
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Files of one row each. One of them goes bad after npyfast has looked at it."""
    for row in range(ROWS):
        np.save(tmp_path / f"{row:02}.npy", np.full((2,), row))
    made = npyfast.source(str(tmp_path / "*.npy"), per_file="row")
    npyfast.open(made)
    request.param(str(tmp_path / f"{BAD:02}.npy"))
    return made


# What reading it in order gives, in batches of five rows.
EXPECTED: list[Any] = [[0, 1, 2, 3, 4], "error", [10, 11], "end", "end"]
