"""`npyfast.dataset` of the parts that `npyfast.split` makes, by every engine."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import expected
import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorflow as tf
from expected import epoch_batches
from samples import Dataset, Save
from tensors import assert_same_dataset, engine_of, rows_of

import npyfast

X = np.arange(103 * 6, dtype="f4").reshape(103, 2, 3)
Y = np.arange(103)


# Attributes of ops are signed numbers.
@pytest.mark.parametrize(("seed", "split_seed"), [(None, 0), (3, 2**64 - 1)])
def test_the_batches(dataset: Dataset, save: Save, seed: int | None, split_seed: int) -> None:
    source = save(X), save(Y)
    train, rest = npyfast.split(source, 0.7, seed=split_seed)
    for rows in (train, rest, rest[::-2], train[5:50], rest[:0]):
        made = dataset(source, 10, seed is not None, seed=seed, rows=rows)
        for epoch in range(2):
            wanted = epoch_batches(103, batch_size=10, seed=seed, rows=rows, epoch=epoch)
            assert made.cardinality() == len(wanted)
            assert_same_dataset(made, (X, Y), wanted)


def test_the_two_parts_hold_each_row_once(dataset: Dataset, save: Save) -> None:
    path = save(Y)
    made = [dataset(path, 10, True, rows=rows) for rows in npyfast.split(path)]
    assert [len(part) for part in made] == [10, 1]
    rows = [row for part in made for batch in rows_of(part) for row in batch]
    assert sorted(rows) == Y.tolist()


@pytest.mark.parametrize("worker", [0, 1, 2])
def test_of_a_worker_from_the_middle_on(dataset: Dataset, save: Save, worker: int) -> None:
    options: dict[str, Any] = {
        "rows": npyfast.split(Y, 0.9, seed=5)[0],
        "shard": (worker, 3),
        "seed": 5,
        "epochs": 2,
        "start_epoch": 1,
        "start_batch": 2,
        "drop_remainder": worker == 1,
    }
    made = dataset(save(Y), 7, True, **options)
    wanted = list(expected.iteration(103, batch_size=7, **options))
    assert made.cardinality() == len(wanted)
    assert_same_dataset(made, Y, wanted)


def test_the_batch_dimension(dataset: Dataset, save: Save) -> None:
    train, rest = npyfast.split(Y, 0.8)
    path = save(Y)
    for rows, batch_size, size in ((train, 41, 41), (train, 40, None), (rest, 50, 21)):
        made = dataset(path, batch_size, rows=rows)
        assert made.element_spec == tf.TensorSpec((size,), tf.int64)


@pytest.mark.usefixtures("native")
def test_takes_the_graph_engine(save: Save) -> None:
    assert engine_of(npyfast.dataset(save(Y), rows=npyfast.split(Y)[0])) == "graph"


def test_what_is_refused(dataset: Dataset, save: Save) -> None:
    path = save(Y)
    train, _ = npyfast.split(path)
    with pytest.raises(ValueError, match="to a source of 103 rows, and this one has 102"):
        dataset(save(Y[:-1]), rows=train)
    with pytest.raises(ValueError, match="blocks of consecutive rows"):
        dataset(path, shuffle="block", rows=train)


@pytest.mark.parametrize("options", [{}, {"epochs": 1}, {"drop_remainder": True}])
def test_by_keras(dataset: Dataset, save: Save, options: dict[str, Any]) -> None:
    made = dataset((save(X), save(Y)), 10, True, seed=1, **options)
    left, right = keras.utils.split_dataset(made, left_size=0.8)
    parts = [[(x.numpy(), y.numpy()) for x, y in part] for part in (left, right)]
    assert [len(y) for _, y in parts[0]][:-1] == [10] * (len(parts[0]) - 1)
    rows = [np.concatenate([y for _, y in part]) for part in parts]
    wanted = np.concatenate(
        epoch_batches(
            103, batch_size=10, seed=1, epoch=0, drop_remainder="drop_remainder" in options
        )
    )
    assert np.concatenate(rows).tolist() == wanted.tolist()
    assert len(rows[0]) == round(len(wanted) * 0.8)
    for x, y in itertools.chain(*parts):
        assert np.array_equal(x, X[y])


def test_what_a_batch_dataset_tells(dataset: Dataset, save: Save) -> None:
    for drop in (False, True):
        made = dataset(save(Y), 10, drop_remainder=drop)
        like = tf.data.Dataset.range(103).batch(10, drop_remainder=drop)
        assert (int(made._batch_size), bool(made._drop_remainder)) == (10, drop)
        assert made._batch_size.dtype == like._batch_size.dtype
    assert not hasattr(dataset(save(Y), 10, epochs=2), "_batch_size")


@pytest.mark.usefixtures("native")
class TestCheckpoints:
    """Of the graph engine, the only one that has them."""

    @staticmethod
    def of(path: str, rows: Any, **options: Any) -> Any:
        return npyfast.dataset(path, 10, **{"seed": 1, **options}, rows=rows, engine="graph")

    @staticmethod
    def save(iterator: Any, folder: Path) -> str:
        return str(tf.train.Checkpoint(iterator=iterator).write(str(folder / "checkpoint")))

    @staticmethod
    def restore(made: Any, prefix: str) -> Any:
        iterator = iter(made)
        tf.train.Checkpoint(iterator=iterator).read(prefix).assert_consumed()
        return iterator

    @pytest.mark.parametrize("epochs", [None, 2, -1])
    def test_goes_on_where_it_was_saved(
        self, save: Save, tmp_path: Path, epochs: int | None
    ) -> None:
        path = save(Y)
        for rows in (npyfast.split(Y, 0.6)[0], npyfast.split(Y, 0.6)[1][::-1]):
            whole = rows_of(
                itertools.islice(
                    expected.iteration(103, batch_size=10, seed=1, rows=rows, epochs=epochs), 12
                )
            )
            iterator = iter(self.of(path, rows, shuffle=True, epochs=epochs))
            assert rows_of(itertools.islice(iterator, 3)) == whole[:3]
            prefix = self.save(iterator, tmp_path)
            again = self.restore(self.of(path, rows, shuffle=True, epochs=epochs), prefix)
            assert rows_of(itertools.islice(again, len(whole) - 3)) == whole[3:]

    @pytest.mark.parametrize("epochs", [None, 3, -1])
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_of_another_part_is_refused(
        self, save: Save, tmp_path: Path, shuffle: bool, epochs: int | None
    ) -> None:
        path = save(Y)
        # Of a size, so that nothing but the rows themselves tells them apart.
        first, rest = (part[:51] for part in npyfast.split(Y, 0.5))
        others = [rest, first[::-1], npyfast.split(Y, 0.5, seed=2)[0][:51], slice(51), first[:41]]
        iterator = iter(self.of(path, first, shuffle=shuffle, epochs=epochs))
        for _ in range(3):
            next(iterator)
        prefix = self.save(iterator, tmp_path)
        next(self.restore(self.of(path, first, shuffle=shuffle, epochs=epochs), prefix))
        for rows in others:
            other = self.of(path, rows, shuffle=shuffle, epochs=epochs)
            with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
                next(self.restore(other, prefix))
