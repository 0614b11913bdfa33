"""Compressed archives as tf.data: inflated once, whatever delivers them."""

from __future__ import annotations

from pathlib import Path

import expected
import numpy as np
import pytest
from samples import Dataset

import npyfast


@pytest.mark.filterwarnings("ignore:.*was inflated into memory:RuntimeWarning")
def test_a_compressed_archive(dataset: Dataset, tmp_path: Path) -> None:
    x = np.arange(24, dtype="f4").reshape(12, 2)
    np.savez_compressed(tmp_path / "a.npz", x=x, y=np.arange(12))
    ds = dataset(tmp_path / "a.npz", 5, shuffle=True, seed=3, engine="auto")
    for epoch in range(2):
        rows = expected.epoch_batches(12, batch_size=5, seed=3, epoch=epoch)
        for batch, wanted in zip(ds.as_numpy_iterator(), rows, strict=True):
            assert np.array_equal(batch["x"], x[wanted])
            assert np.array_equal(batch["y"], wanted)


def test_the_warning_names_the_line(dataset: Dataset, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(12))
    with pytest.warns(RuntimeWarning, match="was inflated into memory") as caught:
        dataset(npyfast.source(tmp_path / "a.npz", key="x"), engine="auto")
    assert [warning.filename for warning in caught] == [__file__]
