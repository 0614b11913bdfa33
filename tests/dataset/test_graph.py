"""What a dataset of the graph engine can do because it is all TensorFlow's: any batch by its index,
inside of a tf.function, under any of tf.data's steps, in as many iterators and threads as you like.
"""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorflow as tf
from expected import epoch_batches, iteration
from samples import Save
from tensors import assert_same_dataset, engine_of, rows_of

import npyfast

pytestmark = pytest.mark.usefixtures("native")

Y = np.arange(103)


def graph(source: Any, *arguments: Any, **options: Any) -> Any:
    made = npyfast.dataset(source, *arguments, **options, engine="graph")
    assert engine_of(made) == "graph"
    return made


def epoch(number: int) -> list[list[int]]:
    return rows_of(epoch_batches(103, batch_size=10, seed=1, epoch=number))


def epochs(*numbers: int) -> list[list[int]]:
    return [batch for number in numbers for batch in epoch(number)]


@pytest.fixture
def path(save: Save) -> str:
    return save(Y)


def test_a_batch_by_its_index(path: str) -> None:
    made = graph(path, 10, True, seed=1, epochs=2, start_epoch=3, start_batch=4)
    rows = rows_of(iteration(103, batch_size=10, seed=1, epochs=2, start_epoch=3, start_batch=4))
    at = tf.data.experimental.at
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    assert rows_of(at(made, i) for i in order) == [rows[i] for i in order]
    for outside in (-1, len(rows)):
        with pytest.raises(tf.errors.OutOfRangeError):
            at(made, outside)
    # An unshuffled one has the same batches in each iteration, so it needs no epochs.
    assert rows_of([at(graph(path, 10), 10)]) == [[100, 101, 102]]


@pytest.mark.parametrize(
    ("options", "rows", "count"),
    [
        ({}, None, 11),
        ({"drop_remainder": True}, 10, 10),
        ({"epochs": 3}, None, 33),
        ({"epochs": -1}, None, tf.data.INFINITE_CARDINALITY),
        ({"epochs": -1, "drop_remainder": True}, 10, tf.data.INFINITE_CARDINALITY),
        ({"rows": slice(0, 50)}, 10, 5),
        ({"rows": []}, None, 0),
        ({"shard": (0, 2)}, None, 6),
    ],
    ids=str,
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_shapes_are_static_and_the_length_is_known(
    save: Save, options: dict[str, Any], rows: int | None, count: int, shuffle: bool
) -> None:
    made = graph((save(np.zeros((103, 2, 3), "f4")), save(Y)), 10, shuffle, **options)
    assert made.element_spec == (
        tf.TensorSpec((rows, 2, 3), tf.float32),
        tf.TensorSpec((rows,), tf.int64),
    )
    assert made.cardinality() == count
    shapes: list[Any] = []

    def note(x: Any, y: Any) -> Any:
        shapes.append((x.shape.as_list(), y.shape.as_list()))
        return x

    made.map(note)
    assert shapes == [([rows, 2, 3], [rows])]


class TestInsideAFunction:
    def test_a_loop_over_a_dataset_from_outside(self, path: str) -> None:
        made = graph(path, 10, True, seed=1)

        @tf.function  # type: ignore[untyped-decorator]
        def firsts() -> Any:
            found = tf.TensorArray(tf.int64, 11)
            for i, batch in made.enumerate():
                found = found.write(tf.cast(i, tf.int32), batch[0])
            return found.stack()

        for k in range(3):
            assert firsts().numpy().tolist() == [batch[0] for batch in epoch(k)]

    def test_a_loop_over_a_dataset_that_is_an_argument(self, path: str) -> None:
        @tf.function  # type: ignore[untyped-decorator]
        def total(dataset: Any) -> Any:
            sum_ = tf.constant(0, tf.int64)
            for batch in dataset:
                sum_ += tf.reduce_sum(batch)
            return sum_

        assert int(total(graph(path, 10, True, seed=1))) == Y.sum()
        assert int(total(graph(path, 10, epochs=2))) == 2 * Y.sum()

    @pytest.mark.parametrize("options", [{}, {"epochs": 1}, {"rows": [5, 99, 7]}], ids=str)
    def test_a_dataset_that_is_made_there(
        self, path: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        @tf.function  # type: ignore[untyped-decorator]
        def total() -> Any:
            sum_ = tf.constant(0, tf.int64)
            made = npyfast.dataset(path, 10, True, seed=1, engine="graph", **options)
            for batch in made:
                sum_ += tf.reduce_sum(batch)
            return sum_

        wanted = Y[options.get("rows", slice(None))].sum()
        tf.get_logger().addHandler(caplog.handler)
        try:
            assert [int(total()) for _ in range(3)] == [wanted] * 3
        finally:
            tf.get_logger().removeHandler(caplog.handler)
        # AutoGraph says so where it tries, in vain, to rewrite our code.
        assert caplog.text == ""

    def test_reduce(self, path: str) -> None:
        made = graph(path, 10, True, seed=1)

        @tf.function  # type: ignore[untyped-decorator]
        def total() -> Any:
            return made.reduce(tf.constant(0, tf.int64), lambda s, y: s + tf.reduce_sum(y))

        assert int(total()) == Y.sum()
        assert int(total()) == Y.sum()

    def test_an_iterator_that_is_an_argument(self, path: str) -> None:
        @tf.function  # type: ignore[untyped-decorator]
        def two(iterator: Any) -> Any:
            return next(iterator), next(iterator)

        iterator = iter(graph(path, 10, True, seed=1))
        assert rows_of([*two(iterator), *two(iterator)]) == epoch(0)[:4]


STEPS: dict[str, tuple[Callable[[Any], Any], list[list[int]]]] = {
    "repeat": (lambda made: made.repeat(3), epochs(0, 1, 2)),
    "endless repeat": (lambda made: made.repeat().take(30), epochs(0, 1, 2)[:30]),
    "shard": (lambda made: made.shard(3, 1), epoch(0)[1::3]),
    "skip": (lambda made: made.skip(4), epoch(0)[4:]),
    "take": (lambda made: made.take(4), epoch(0)[:4]),
    "skip, take": (lambda made: made.skip(9).take(4), epoch(0)[9:]),
    "parallel map": (lambda made: made.map(lambda y: y, num_parallel_calls=4), epoch(0)),
    "prefetch": (lambda made: made.prefetch(tf.data.AUTOTUNE), epoch(0)),
    "cache": (lambda made: made.cache().repeat(2), epochs(0, 0)),
    "filter": (lambda made: made.filter(lambda y: y[0] % 2 == 0),
               [batch for batch in epoch(0) if batch[0] % 2 == 0]),
    "unbatch": (lambda made: made.unbatch().batch(10), epoch(0)),
    "concatenate": (lambda made: made.concatenate(made), epochs(0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_a_users_pipeline(path: str, name: str) -> None:
    step, wanted = STEPS[name]
    assert rows_of(step(graph(path, 10, True, seed=1))) == wanted


@pytest.mark.parametrize("calls", [None, 4])
def test_interleaved_with_itself(path: str, calls: int | None) -> None:
    # More at once than the op remembers sequences.
    made = graph(path, 10, True, seed=1, epochs=2)
    interleaved = tf.data.Dataset.range(12).interleave(
        lambda _: made, cycle_length=12, num_parallel_calls=calls
    )
    assert rows_of(interleaved) == [batch for batch in epochs(0, 1) for _ in range(12)]


def test_interleaved_with_its_own_epochs(path: str) -> None:
    made = graph(path, 10, True, seed=1)
    interleaved = tf.data.Dataset.range(3).interleave(lambda _: made, cycle_length=3)
    wanted = [batch for three in zip(epoch(0), epoch(1), epoch(2), strict=True) for batch in three]
    assert rows_of(interleaved) == wanted


def test_made_within_the_function_of_interleave(path: str) -> None:
    def make(_: Any) -> Any:
        return npyfast.dataset(path, 10, True, seed=1, epochs=2, engine="graph")

    interleaved = tf.data.Dataset.range(3).interleave(make, cycle_length=3)
    assert rows_of(interleaved) == [batch for batch in epochs(0, 1) for _ in range(3)]


def test_zipped_with_itself(path: str) -> None:
    made = graph(path, 10, True, seed=1, epochs=2)
    pairs = list(tf.data.Dataset.zip((made, made)))
    assert rows_of(a for a, _ in pairs) == rows_of(b for _, b in pairs) == epochs(0, 1)


@pytest.mark.parametrize("count", [2, 20])
def test_several_iterators_take_turns(path: str, count: int) -> None:
    made = graph(path, 10, True, seed=1, epochs=2)
    iterators = [iter(made) for _ in range(count)]
    # They do not advance together: each one is at another batch.
    read: list[list[Any]] = [[] for _ in range(count)]
    for i in itertools.chain(*(range(count - k % 3) for k in range(40))):
        read[i] += itertools.islice(iterators[i], 1)
    for i, iterator in enumerate(iterators):
        assert rows_of([*read[i], *iterator]) == epochs(0, 1)


def test_an_iterator_that_is_made_and_not_read_costs_no_epoch(path: str) -> None:
    made = graph(path, 10, True, seed=1)
    for k in range(3):
        kept = [iter(made) for _ in range(3)]
        assert rows_of(kept[1]) == epoch(k)


def test_iterators_in_threads(path: str) -> None:
    made = graph(path, 10, True, seed=1, epochs=30)
    wanted = epochs(*range(30))
    right: list[bool] = []

    def read() -> None:
        right.append(rows_of(made) == wanted)

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 12


def test_one_iterator_in_threads(path: str) -> None:
    iterator = iter(graph(path, 10, True, seed=1, epochs=30))
    read: list[list[int]] = []

    def run() -> None:
        read.extend(batch.numpy().tolist() for batch in iterator)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read) == sorted(epochs(*range(30)))


def test_under_a_device_scope(path: str) -> None:
    with tf.device("/cpu:0"):
        made = graph(path, 10, True, seed=1)
        assert rows_of(made) == epoch(0)
    assert rows_of(made) == epoch(1)
    with tf.device("/cpu:0"):
        assert rows_of(made) == epoch(2)


def test_in_a_legacy_graph(path: str) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = npyfast.dataset(path, 10, True, seed=1, epochs=1, engine="graph")
        following = tf.compat.v1.data.make_one_shot_iterator(made).get_next()
        assert [session.run(following).tolist() for _ in range(11)] == epoch(0)


def test_many_files_and_fields(save: Save) -> None:
    records = np.zeros(103, [("image", ">f4", (2, 2)), ("name", "U4")])
    records["image"] = np.random.default_rng(0).random((103, 2, 2))
    records["name"] = [f"ö{i}" for i in range(103)]
    parts = [save(part, f"records/part-{i}.npy") for i, part in enumerate(np.split(records, [40]))]
    source = {"records": parts, "y": save(Y)}
    made = graph(source, 10, True, seed=1)
    rows = epoch_batches(103, batch_size=10, seed=1)
    assert_same_dataset(made, {"records": records, "y": Y}, rows)


# fit's default, for every tf.data.Dataset.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed, but will be ignored:UserWarning")
@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_each_epoch_of_keras_is_the_next(
    save: Save, run_eagerly: bool, steps_per_execution: int
) -> None:
    seen: list[int] = []

    def note(x: Any, y: Any) -> Any:
        with tf.control_dependencies([tf.py_function(lambda v: seen.append(int(v)), [y[0]], [])]):
            return x, tf.identity(y)

    paths = save(np.zeros((103, 4), "f4")), save(Y)
    made = graph(paths, 10, True, seed=1).map(note)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=run_eagerly, steps_per_execution=steps_per_execution)
    model.fit(made, epochs=3, verbose=0, validation_data=graph(paths, 10))
    assert seen == [batch[0] for batch in epochs(0, 1, 2)]


@pytest.mark.slow
class TestMemory:
    @staticmethod
    def maps() -> list[str]:
        return Path("/proc/self/maps").read_text().splitlines()

    @staticmethod
    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    @pytest.mark.parametrize("batch_size", [1, 16])
    def test_many_batches_take_no_more_memory(self, save: Save, batch_size: int) -> None:
        made = graph(save(np.ones((1000, 1000), "u1")), batch_size, True, epochs=-1)

        def run(batches: int) -> None:
            total = made.take(batches).reduce(
                tf.constant(0, tf.int64), lambda s, x: s + tf.cast(tf.size(x), tf.int64)
            )
            assert int(total) > 0

        run(2000)
        resident, maps = self.resident(), len(self.maps())
        run(20_000)
        # A kilobyte kept for each batch would be 20 MB.
        assert self.resident() - resident < 10 << 20
        assert len(self.maps()) - maps < 50

    def test_a_file_is_mapped_once(self, save: Save) -> None:
        path = save(np.zeros((1000, 100), "u1"))

        def mappings() -> int:
            return sum(line.endswith(path) for line in self.maps())

        made = [graph(path, 10, True, seed=seed, epochs=seed) for seed in range(1, 5)]
        for dataset in made:
            next(iter(dataset))
        # One of the datasets' making, which Python has; one of the ops.
        few = mappings()
        iterators = [iter(dataset) for dataset in made for _ in range(5)]
        for iterator in iterators:
            next(iterator)
        assert mappings() == few == 1

    def test_many_datasets_keep_few_files_open(self, save: Save) -> None:
        paths = [save(Y) for _ in range(50)]

        def files() -> int:
            return len(list(Path("/proc/self/fd").iterdir())) + sum(
                "/array-" in line for line in self.maps()
            )

        for path in paths[:20]:
            assert len(list(graph(path, 10, True))) == 11
        gc.collect()
        before = files()
        for path in paths[20:]:
            assert len(list(graph(path, 10, True))) == 11
        gc.collect()
        assert files() <= before + 2
