"""Hostile archives in `npyfast.dataset`, on every engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_archives import HOSTILE, refuse
from samples import Dataset

import npyfast


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_refused(tmp_path: Path, content: bytes, dataset: Dataset) -> None:
    for read in (dataset, lambda path: dataset(npyfast.source(path, key="x"))):
        refuse(content, tmp_path / "a.npz", read)
