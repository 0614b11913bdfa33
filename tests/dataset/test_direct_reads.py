"""Direct reads below `dataset`: the batches of each engine are those of `batches`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from direct_reads import has_direct_reads, memory_of
from samples import Dataset, Save

import npyfast

SHUFFLES: list[Any] = [False, True, npyfast.BlockShuffle(7, 30)]


@pytest.fixture
def array() -> Any:
    made = np.random.default_rng(0).integers(0, 1 << 60, (2000, 600))
    made[:, 0] = np.arange(2000)
    return made


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_they_change_no_batch(dataset: Dataset, save_cold: Save, array: Any, shuffle: Any) -> None:
    path = save_cold(array)
    with memory_of("7MB"):
        made = dataset(path, 16, shuffle, seed=1)
        for _ in range(2):
            rows = []
            for batch in made.as_numpy_iterator():
                np.testing.assert_array_equal(batch, array[batch[:, 0]])
                rows.extend(batch[:, 0])
            assert sorted(rows) == list(range(2000))
    # The windows of grouped batches take more than half of this memory.
    if npyfast.backend == "native" and shuffle is True:
        assert (npyfast.statistics(made).bytes_direct > 0) == has_direct_reads(path)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_checkpoints(
    native: None, save_cold: Save, tmp_path: Any, array: Any, shuffle: Any
) -> None:
    path = save_cold(array)
    with memory_of("7MB"):
        made = npyfast.dataset(path, 16, shuffle, seed=1, engine="graph")
        whole = [batch.numpy()[:, 0].tolist() for batch in made]
        again = npyfast.dataset(path, 16, shuffle, seed=1, engine="graph")
        iterator = iter(again)
        for _ in range(40):
            next(iterator)
        saved = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "c"))
        restored = iter(npyfast.dataset(path, 16, shuffle, seed=1, engine="graph"))
        tf.train.Checkpoint(iterator=restored).restore(saved)
        assert [batch.numpy()[:, 0].tolist() for batch in restored] == whole[40:]
