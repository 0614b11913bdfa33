"""The sources whose deliveries the tests of `npyfast.statistics` count."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import Save

X = np.arange(103 * 3, dtype="i4").reshape(103, 3)
Y = np.arange(103)
ROW_BYTES = 12 + 8


@pytest.fixture
def pair(save: Save) -> tuple[str, str]:
    return save(X), save(Y)


@pytest.fixture
def large(tmp_path: Path) -> str:
    """A file of 64 MiB without a block on the disk, in rows of 64 KiB."""
    path = str(tmp_path / "large.npy")
    np.lib.format.open_memmap(path, "w+", "u1", (1024, 1 << 16))
    return path


def read(made: Any, count: int) -> None:
    assert len(list(itertools.islice(made, count))) == count
