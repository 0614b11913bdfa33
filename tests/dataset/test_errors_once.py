"""`dataset`: an error of a batch comes once, in its place; `ignore_errors()` drops it and ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from bad_file import BAD, EXPECTED, ROWS, source
from samples import Dataset

import npyfast

__all__ = ["source"]


def outcomes(made: tf.data.Dataset, count: int) -> list[Any]:
    """What so many reads give: the rows of a batch, "error", or "end"."""
    iterator = iter(made)

    def outcome() -> Any:
        try:
            return next(iterator)[:, 0].numpy().tolist()
        except StopIteration:
            return "end"
        except tf.errors.OpError as error:
            return "error" if f"{BAD:02}.npy" in str(error) else error

    return [outcome() for _ in range(count)]


def rows_of(made: tf.data.Dataset) -> list[int]:
    return [int(row[0]) for batch in made for row in batch]


GOOD = [row for row in range(ROWS) if row != BAD]


@pytest.mark.parametrize("prefetch", [None, 0])
def test_in_the_place_of_the_batch(source: Any, dataset: Dataset, prefetch: int | None) -> None:
    made = dataset(source, 5, epochs=1, prefetch=prefetch)
    assert made.cardinality() == 3
    assert outcomes(made, 5) == EXPECTED


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("prefetch", [None, 0, 2])
def test_ignored(source: Any, dataset: Dataset, batch_size: int, prefetch: int | None) -> None:
    """Batches so small come in groups, by the generator engine."""
    first = BAD // batch_size * batch_size
    good = [row for row in range(ROWS) if not first <= row < first + batch_size]
    for epochs in (1, 2):
        made = dataset(source, batch_size, epochs=epochs, prefetch=prefetch)
        assert rows_of(made.ignore_errors()) == good * epochs
    made = dataset(source, batch_size, prefetch=prefetch).ignore_errors()
    for _ in range(2):
        assert rows_of(made) == good


@pytest.mark.parametrize("seed", range(3))
def test_ignored_of_a_shuffle(source: Any, dataset: Dataset, seed: int) -> None:
    made = dataset(source, 1, True, seed=seed, epochs=2).ignore_errors()
    rows = rows_of(made)
    assert sorted(rows[: ROWS - 1]) == sorted(rows[ROWS - 1 :]) == GOOD


def test_ignored_of_an_endless_dataset(source: Any, dataset: Dataset) -> None:
    made = dataset(source, 1, epochs=-1).ignore_errors()
    assert rows_of(made.take(3 * len(GOOD))) == 3 * GOOD


@pytest.mark.parametrize("threads", [1, 3])
def test_ignored_behind_a_transform(source: Any, backend: str, threads: int) -> None:
    made = npyfast.dataset(source, 2, epochs=2, transform=np.negative, transform_threads=threads)
    good = [row for row in range(ROWS) if row // 2 != BAD // 2]
    assert made.cardinality() == ROWS
    assert [-row for row in rows_of(made.ignore_errors())] == good * 2


@pytest.mark.parametrize("threads", [1, 3])
def test_ignored_errors_of_a_transform(tmp_path: Path, backend: str, threads: int) -> None:
    def transform(y: Any) -> Any:
        if y[0] in (3, ROWS - 1):
            raise ValueError("no")
        return y

    path = tmp_path / "y.npy"
    np.save(path, np.arange(ROWS))
    made = npyfast.dataset(str(path), 1, transform=transform, transform_threads=threads)
    for _ in range(2):
        found = [int(y[0]) for y in made.ignore_errors()]
        assert found == [row for row in range(ROWS) if row not in (3, ROWS - 1)]
