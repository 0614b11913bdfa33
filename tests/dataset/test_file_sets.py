"""Sets of packed files in `npyfast.dataset`, on every engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from samples import Dataset

import npyfast


def test_a_file_is_missing(tmp_path: Path, dataset: Dataset) -> None:
    npyfast.pack(np.arange(30), tmp_path / "o.npy", max_file_size=208)
    assert len(list(dataset(tmp_path, batch_size=10))) == 3
    (tmp_path / "o-00001-of-00003.npy").unlink()
    for source in (tmp_path, f"{tmp_path}/o-*.npy"):
        with pytest.raises(ValueError, match=r"o-00001-of-00003\.npy: is missing"):
            dataset(source)
    assert len(list(dataset(tmp_path / "o-00000-of-00003.npy", batch_size=10))) == 1
