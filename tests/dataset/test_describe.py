"""`npyfast.describe`: what a dataset is made of, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import Dataset, Save

import npyfast


@pytest.fixture(autouse=True)
def here(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        save(np.zeros((4, 2), "u1"), f"x-{number}.npy")
    save(np.arange(12), "y.npy")


def leaf() -> npyfast.Source:
    return npyfast.source("x-*.npy", cast="float32", scale=2)


LEAVES = [
    "  x-0.npy and 2 more files: 12 rows of shape (2,), float32 (cast and scaled), 8 bytes each; "
    "mapped, 3 files from x-0.npy to x-2.npy",
    "  y.npy: 12 rows of shape (), int64, 8 bytes each; mapped",
]


def test_a_dataset(dataset: Dataset, engine: str) -> None:
    ds = dataset((leaf(), "y.npy"), 4, shuffle=True, seed=7)
    lines = npyfast.describe(ds.map(lambda x, y: (x, y)).prefetch(1)).splitlines()
    assert lines[:2] == [
        "3 batches of 4 of 12 rows, shuffled with seed 7",
        "  each iteration is the next epoch, from epoch 0 on",
    ]
    assert lines[2:4] == LEAVES
    assert lines[4].startswith(f"  engine {engine}")
    assert lines[5].startswith(f"  backend {npyfast.backend}")


def test_why_the_engine_is_the_generator(dataset: Dataset) -> None:
    ds = dataset("y.npy", engine="auto", transform=lambda y: y, epochs=2, start_batch=1)
    text = npyfast.describe(ds)
    assert "engine generator, because graph is not available: " in text
    if npyfast.backend == "native":
        assert "graph is not available: transform is a Python function" in text
    assert "  then <lambda>, in 1 threads" in text
    assert "  each iteration begins at epoch 0, batch 1" in text


def test_several_datasets(dataset: Dataset) -> None:
    import tensorflow as tf

    one, other = dataset("y.npy", 3), dataset(leaf(), 4)
    text = npyfast.describe(tf.data.Dataset.zip((one, other, one)))
    assert text == f"{npyfast.describe(one)}\n\n{npyfast.describe(other)}"


def test_batches_are_described_alike(dataset: Dataset) -> None:
    options: dict[str, Any] = {"shuffle": "block", "seed": 1, "shard": (1, 2)}
    by_numpy = npyfast.describe(npyfast.batches((leaf(), "y.npy"), 4, **options)).splitlines()
    by_tensorflow = npyfast.describe(dataset((leaf(), "y.npy"), 4, **options)).splitlines()
    assert by_numpy[:4] == by_tensorflow[:4]
    assert "seed 1 in blocks of" in by_numpy[0]
    assert "worker 1 of 2" in by_numpy[0]
    assert by_numpy[4] == "  as NumPy arrays, without TensorFlow"


def test_what_is_not_described(dataset: Dataset) -> None:
    import tensorflow as tf

    for other in (None, "y.npy", np.zeros(3), leaf()):
        with pytest.raises(TypeError, match="describe takes what npyfast"):
            npyfast.describe(other)
    with pytest.raises(ValueError, match=r"no npyfast\.dataset below"):
        npyfast.describe(tf.data.Dataset.range(3))
