"""`npyfast.statistics` of `npyfast.dataset`, by every engine."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras  # type: ignore[import-untyped]
import pytest
import tensorflow as tf
from counted import ROW_BYTES, X, Y, large, pair, read
from deadlines import wait_until
from samples import Dataset

import npyfast
from npyfast import Statistics
from npyfast._backends.interface import Counts
from npyfast._engines import op_library

__all__ = ["large", "pair"]


def delivered(made: Any) -> tuple[int, int, int]:
    statistics = npyfast.statistics(made)
    return statistics.batches, statistics.rows, statistics.bytes


def after(epochs: int) -> tuple[int, int, int]:
    """What has been delivered after so many epochs of batches of 10."""
    return epochs * 11, epochs * 103, epochs * 103 * ROW_BYTES


def graph(*arguments: Any, **options: Any) -> Any:
    return npyfast.dataset(*arguments, **options, engine="graph")


def test_nothing_has_been_delivered_at_first(dataset: Dataset, pair: Any) -> None:
    assert npyfast.statistics(dataset(pair, 10, True)) == Statistics()


@pytest.mark.parametrize("shuffle", [False, True])
def test_epochs_add_up(dataset: Dataset, pair: Any, shuffle: bool) -> None:
    made = dataset(pair, 10, shuffle)
    for epoch in range(3):
        before = npyfast.statistics(made)
        assert len(list(made)) == 11
        assert delivered(made) == after(epoch + 1)
        assert (npyfast.statistics(made) - before).batches == 11


@pytest.mark.parametrize(
    ("options", "batches", "rows"),
    [
        ({"drop_remainder": True}, 10, 100),
        ({"epochs": 3}, 33, 309),
        ({"epochs": 2, "start_batch": 9}, 13, 116),
        ({"rows": slice(0, 25)}, 3, 25),
        ({"rows": []}, 0, 0),
        ({"shard": (1, 2)}, 6, 52),
        ({"batch_size": 1}, 103, 103),  # in groups of up to 64, with the generator engine
        ({"batch_size": 1000}, 1, 103),
        ({"prefetch": 0}, 11, 103),
        ({"prefetch": 3}, 11, 103),
    ],
    ids=str,
)
def test_each_option(
    dataset: Dataset, pair: Any, options: dict[str, Any], batches: int, rows: int
) -> None:
    made = dataset(pair, **{"batch_size": 10, "shuffle": True, **options})
    assert len(list(made)) == batches
    assert delivered(made) == (batches, rows, rows * ROW_BYTES)


def test_large_batches(dataset: Dataset, large: str) -> None:
    made = dataset(large, 100, True)
    assert len(list(made)) == 11
    assert delivered(made) == (11, 1024, 1 << 26)


def test_within_an_epoch(dataset: Dataset, engine: str, pair: Any) -> None:
    iterator = iter(dataset(pair, 10, True, epochs=-1))
    made = dataset(pair, 10, True, epochs=-1)
    iterator = iter(made)
    for count in range(1, 30):
        next(iterator)
        statistics = npyfast.statistics(made)
        if engine == "graph":
            assert statistics.batches == count
        assert statistics.batches >= count  # TensorFlow reads ahead of the generator
        assert statistics.bytes == statistics.rows * ROW_BYTES


def test_each_dataset_counts_its_own(dataset: Dataset, pair: Any) -> None:
    one, other = (dataset(pair, 10, True, seed=1, epochs=1) for _ in range(2))
    list(one)
    assert delivered(one) == after(1)
    assert npyfast.statistics(other) == Statistics()
    again = dataset(pair, 10, True, seed=1, epochs=1)
    assert npyfast.statistics(again) == Statistics()


def test_what_is_built_on_top(dataset: Dataset, pair: Any) -> None:
    made = dataset(pair, 10, True)
    options = tf.data.Options()
    options.deterministic = True
    steps = [
        made.prefetch(2),
        made.map(lambda x, y: (x, y + 1), num_parallel_calls=2).prefetch(tf.data.AUTOTUNE),
        made.with_options(options).enumerate(),
        made.unbatch().batch(7).repeat(1),
        made.take(20).skip(0).cache().filter(lambda x, y: True),
        made.interleave(lambda x, y: tf.data.Dataset.from_tensors(x)),
        made.apply(lambda below: below.shuffle(3)),
    ]
    for done, top in enumerate(steps, 1):
        list(top)
        assert delivered(top) == delivered(made) == after(done)


def test_several_below_are_summed(dataset: Dataset, pair: Any) -> None:
    one, other = dataset(pair, 10, True), dataset(pair[1], 50)
    list(one)
    list(other)
    both = (14, 206, 103 * (ROW_BYTES + 8))
    data = tf.data.Dataset
    keep = one.map(lambda x, y: y)
    for top in (
        data.zip((one, other)),
        data.zip({"a": (one, other.prefetch(1)), "b": data.range(3)}).map(lambda d: d["b"]),
        keep.concatenate(other),
        data.sample_from_datasets([keep, other]),
        data.choose_from_datasets([keep, other], data.range(2)),
        data.zip((one, other, one, data.zip((one, other)))),  # each of them once
    ):
        assert delivered(top) == both
    assert delivered(data.zip((one, one))) == after(1)


def test_a_function_of_tensorflow_is_counted(dataset: Dataset, pair: Any) -> None:
    made = dataset(pair, 10, True, seed=1)

    @tf.function
    def train() -> Any:
        total = tf.constant(0, tf.int64)
        for _, y in made:
            total += tf.reduce_sum(y)
        return total

    for done in (1, 2):
        assert int(train()) == Y.sum()
        assert delivered(made) == after(done)


def test_keras_is_counted(dataset: Dataset, pair: Any) -> None:
    made = dataset(pair, 10, True)
    seen = []

    class Log(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(npyfast.statistics(made).batches)

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(made, epochs=3, verbose=0, shuffle=False, callbacks=[Log()])
    # Keras may look at a batch before it begins.
    assert all(count >= 11 * (epoch + 1) for epoch, count in enumerate(seen)), seen
    assert len(seen) == 3


def test_counters_never_go_back(dataset: Dataset, pair: Any) -> None:
    made = dataset(pair, 3, True, epochs=8)
    reader = threading.Thread(target=lambda: [None for _ in made])
    reader.start()
    before = npyfast.statistics(made)
    while reader.is_alive():
        now = npyfast.statistics(made)
        for name in ("batches", "rows", "bytes", "waits", "wait_seconds", "bytes_needed"):
            assert getattr(now, name) >= getattr(before, name)
        before = now
    reader.join()
    assert delivered(made) == (8 * 35, 8 * 103, 8 * 103 * ROW_BYTES)


def test_a_reader_that_does_nothing_else_waits(dataset: Dataset, large: str) -> None:
    made = dataset(large, 100, True, epochs=5)
    for _ in made:
        pass
    statistics = npyfast.statistics(made)
    assert 1 <= statistics.waits <= statistics.batches
    assert statistics.wait_seconds > 0


def test_the_time_goes_on_from_the_first_batch_on(dataset: Dataset, pair: Any) -> None:
    made = dataset(pair, 10, True)
    assert npyfast.statistics(made).wait_share is None
    list(made)
    before = npyfast.statistics(made)
    assert before.seconds > 0
    assert before.wait_share is not None
    assert npyfast.statistics(made.prefetch(1)).seconds > before.seconds
    assert before.transform_seconds == 0


def test_nothing_lies_ready_once_the_iterators_are_gone(dataset: Dataset, pair: Any) -> None:
    made = dataset(pair, 10, True, epochs=-1)
    iterators = [iter(made) for _ in range(3)]
    for iterator in iterators:
        next(iterator)
    del iterator
    iterators.clear()
    gc.collect()
    wait_until(lambda: npyfast.statistics(made).batches_ahead == 0)
    assert npyfast.statistics(made).batches >= 3


def test_whatever_else_is_refused(dataset: Dataset, pair: Any) -> None:
    made = dataset(pair, 10)
    with pytest.raises(ValueError, match=r"there is no npyfast\.dataset below"):
        npyfast.statistics(tf.data.Dataset.range(3).map(lambda x: x).prefetch(1))
    for other in (iter(made), next(iter(made)), made.element_spec, "made"):
        with pytest.raises(TypeError, match=r"npyfast\.batches or npyfast\.dataset returned"):
            npyfast.statistics(other)


@pytest.mark.usefixtures("backend")
class TestGenerator:
    def test_finding_what_a_transform_returns_does_not_count(self, pair: Any) -> None:
        made = npyfast.dataset(pair, 10, True, transform=lambda xy: (xy[0] * 2, xy[1]))
        assert npyfast.statistics(made) == Statistics()
        list(made)
        assert delivered(made) == after(1)

    def test_a_transform_takes_time(self, pair: Any) -> None:
        def slow(xy: Any) -> Any:
            time.sleep(0.005)
            return xy

        for threads in (1, 2):
            made = npyfast.dataset(pair, 10, transform=slow, transform_threads=threads)
            list(made)
            counted = npyfast.statistics(made)
            assert counted.transform_seconds >= 0.055
            assert counted.seconds >= counted.wait_seconds > 0

    def test_arrays_in_memory(self) -> None:
        made = npyfast.dataset((X, Y), 10, True)
        list(made)
        assert delivered(made) == after(1)


@pytest.mark.usefixtures("native")
class TestGraph:
    def test_a_reader_that_comes_later_never_waits(self, pair: Any) -> None:
        # Of two threads the one that began later may be done first, and its batch not come next.
        made = graph(pair, 10, True, epochs=-1, threads=1)
        iterator = iter(made)
        next(iterator)  # only now does the op begin
        waits = npyfast.statistics(made).waits
        assert waits <= 1
        for _ in range(50):
            wait_until(lambda: npyfast.statistics(made).batches_ahead > 0)
            next(iterator)
        assert npyfast.statistics(made).waits == waits

    def test_a_batch_by_its_index(self, pair: Any) -> None:
        made = graph(pair, 10, True, epochs=1)
        for count, index in enumerate([7, 3, 9, 5], 1):  # each from somewhere else
            tf.data.experimental.at(made, index)
            assert npyfast.statistics(made).seconds > 0
            assert delivered(made) == (count, 10 * count, 10 * count * ROW_BYTES)
        tf.data.experimental.at(made, 10)
        assert delivered(made) == (5, 43, 43 * ROW_BYTES)
        # Index 10 follows 9, so batches are made ahead: it may be ready when it is taken.
        assert npyfast.statistics(made).waits in (4, 5)
        with pytest.raises(tf.errors.OutOfRangeError):
            tf.data.experimental.at(made, 11)
        assert delivered(made) == (5, 43, 43 * ROW_BYTES)

    def test_a_restored_iterator(self, pair: Any, tmp_path: Path) -> None:
        made = graph(pair, 10, True, seed=1)
        iterator = iter(made)
        read(iterator, 4)
        saved = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "checkpoint"))
        restored = iter(made)
        tf.train.Checkpoint(iterator=restored).read(saved)
        assert len(list(restored)) == 7
        assert npyfast.statistics(made).batches == 11
        # Of an equal dataset as well, whose counters are others.
        equal = graph(pair, 10, True, seed=1)
        restored = iter(equal)
        tf.train.Checkpoint(iterator=restored).read(saved)
        assert len(list(restored)) == 7
        assert npyfast.statistics(equal).batches == 7
        assert npyfast.statistics(made).batches == 11

    def test_an_iterator_outlives_its_dataset(self, pair: Any) -> None:
        made = graph(pair, 10, True, epochs=-1)
        number = number_of(made)
        iterator = iter(made)
        read(iterator, 3)
        assert counters_of(number)[0] == 3
        del iterator._dataset, made  # an iterator would keep it
        gc.collect()
        assert counters_of(number) == [0] * len(Counts._fields)
        read(iterator, 30)
        assert counters_of(number) == [0] * len(Counts._fields)

    def test_the_counters_live_as_long_as_what_is_built_on_top(self, pair: Any) -> None:
        made = graph(pair, 10, True).map(lambda x, y: x).prefetch(1)
        gc.collect()
        list(made)
        assert delivered(made) == after(1)

    def test_made_within_a_function(self, pair: Any) -> None:
        @tf.function
        def total() -> Any:
            found = tf.constant(0, tf.int64)
            for _, y in graph(pair, 10, True):
                found += tf.reduce_sum(y)
            return found

        for _ in range(2):
            gc.collect()
            assert int(total()) == Y.sum()

    def test_made_within_the_function_of_another_dataset(self, pair: Any) -> None:
        made = tf.data.Dataset.range(2).flat_map(lambda _: graph(pair, 10))
        assert len(list(made)) == 22
        with pytest.raises(ValueError, match="made within a function"):
            npyfast.statistics(made)

    def test_tf_data_service_counts_where_the_op_runs(
        self, pair: Any, servers: tuple[Any, Any]
    ) -> None:
        service = tf.data.experimental.service
        made = graph(pair, 10, True)
        sent = made.apply(service.distribute("parallel_epochs", servers[0].target))
        list(sent)
        # The worker is part of this process.
        assert delivered(made) == after(1)
        with pytest.raises(ValueError, match="tf.data service"):
            npyfast.statistics(sent)


@pytest.fixture
def servers() -> Iterator[tuple[Any, Any]]:
    """A dispatcher and a worker of tf.data service, in this process."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
    yield dispatcher, worker
    worker._stop()
    dispatcher._stop()


def number_of(made: Any) -> int:
    """The number under which the ops of a dataset count."""
    graph_def = tf.compat.v1.GraphDef.FromString(made._as_serialized_graph().numpy())
    (number,) = {
        node.attr["statistics"].i
        for function in graph_def.library.function
        for node in function.node_def
        if node.op == "NpyfastBatch"
    }
    return int(number)


def counters_of(number: int) -> list[int]:
    values = (ctypes.c_int64 * len(Counts._fields))()
    library = ctypes.CDLL(op_library.LIBRARY)
    library.npyfast_read_statistics(ctypes.c_int64(number), values)
    return list(values)
