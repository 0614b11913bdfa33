"""Files are closed with the last dataset and iterator that reads them, and not before."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from samples import Dataset, Save

import npyfast

X = np.arange(40, dtype="i4").reshape(20, 2)


def uses(path: str) -> int:
    """How often this process has a file open or mapped."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    opened = [os.readlink(link) for link in links if os.path.lexists(link)].count(path)
    with open("/proc/self/maps") as maps:
        return opened + sum(line.rstrip("\n").endswith(f" {path}") for line in maps)


def rows_of(made: Any) -> int:
    return sum(len(tf.nest.flatten(batch)[0]) for batch in made)


# The graph engine keeps eight arrays that are not in use, and the last one, for datasets to come.
KEPT = {"graph": 9, "generator": 0}


@pytest.mark.parametrize("transform", [None, np.copy])
@pytest.mark.slow
def test_files_are_closed(engine: str, save: Save, transform: Callable[..., Any] | None) -> None:
    if engine == "graph" and transform is not None:
        return  # which the generator engine delivers
    paths = [save(X) for _ in range(12)]
    for path in paths:
        made = npyfast.dataset(path, 4, True, seed=1, transform=transform, engine=engine)
        iterator = iter(made.map(lambda x: x + 1))
        next(iterator)
        assert uses(path)
        del made, iterator
    gc.collect()
    assert sum(map(uses, paths)) <= KEPT[engine]


# What makes something of a dataset that is not referred to any more.
DERIVED: dict[str, Callable[[Any], Any]] = {
    "iterator": iter,
    "numpy iterator": lambda made: made.as_numpy_iterator(),
    "map": lambda made: made.map(lambda x: x, num_parallel_calls=2),
    "filter": lambda made: made.filter(lambda x: True),
    "zip": lambda made: tf.data.Dataset.zip((made, tf.data.Dataset.range(100))),
    "concatenate": lambda made: made.take(2).concatenate(made.skip(2)),
    "unbatch": lambda made: made.unbatch().batch(4),
    "cache": lambda made: made.cache(),
    "shuffle": lambda made: made.shuffle(10).repeat(1).prefetch(1),
    "interleave": lambda made: tf.data.Dataset.range(1).interleave(lambda i: made),
    "flat_map": lambda made: tf.data.Dataset.from_tensors(0).flat_map(lambda i: made),
    "sample": lambda made: tf.data.Dataset.sample_from_datasets([made, made.take(0)]),
    "choose": lambda made: tf.data.Dataset.choose_from_datasets(
        [made], tf.data.Dataset.from_tensors(np.int64(0)).repeat(5)
    ),
    "options": lambda made: made.with_options(tf.data.Options()),
    "distributed": lambda made: tf.distribute.OneDeviceStrategy(
        "/cpu:0"
    ).experimental_distribute_dataset(made),
    "mirrored": lambda made: tf.distribute.MirroredStrategy(
        ["/cpu:0"]
    ).experimental_distribute_dataset(made),
}


@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_what_is_built_on_it_keeps_it(
    dataset: Dataset, save: Save, derive: Callable[[Any], Any]
) -> None:
    derived = derive(dataset(save(X), 4))
    gc.collect()
    assert rows_of(derived) == 20


def test_a_function_keeps_what_it_reads(dataset: Dataset, save: Save) -> None:
    def summing(made: Any) -> Callable[[], Any]:
        def sum_of_all() -> Any:
            total = 0
            for batch in made:
                total += tf.reduce_sum(batch)
            return total

        return tf.function(sum_of_all)

    function = summing(dataset(save(X), 4))
    gc.collect()
    assert function().numpy() == X.sum()
    assert (
        tf.function(lambda made: made.reduce(0, lambda n, x: n + tf.reduce_sum(x)))(
            dataset(save(X), 4)
        ).numpy()
        == X.sum()
    )


def test_what_is_made_within_a_function(dataset: Dataset, save: Save) -> None:
    path = save(X)
    made = tf.data.Dataset.range(2).interleave(lambda i: dataset(path, 4))
    gc.collect()
    assert rows_of(made) == 40


def test_a_tensor_does_not_keep_it(save: Save) -> None:
    # The one case in which TensorFlow knows of no object that is alive.
    variant = tf.data.experimental.to_variant(npyfast.dataset(save(X), 4, engine="generator"))
    gc.collect()
    made = tf.data.experimental.from_variant(variant, tf.TensorSpec((None, 2), tf.int32))
    with pytest.raises(tf.errors.OpError, match="keep one of them"):
        rows_of(made)
