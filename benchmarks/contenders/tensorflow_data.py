"""tf.data as its own guides use it; and datasets that a tf.function reduces, without Python."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from harness.contender import Array, Lazy, Loop, Run, contender
from harness.workloads import Case

from contenders.arrays import batches_of, load

tf: Any = Lazy("tensorflow")
Dataset = Any  # tf.data.Dataset
Make = Callable[[Case], Dataset]


def pipeline(
    key: str,
    label: str,
    *packages: str,
    ahead: Callable[[Case], int] = lambda case: 0,
    whole_epochs: bool = False,
    **more: Any,
) -> Callable[[Make], Make]:
    """Defines two contenders by the function that makes an endless dataset of a case's batches.

    A Python loop takes the batches of one, `reduce` in a tf.function those of the other. `ahead` is
    how many batches the dataset may hold ready; `whole_epochs` makes turns cover whole ones.
    """

    def define(make: Make) -> Make:
        @contender(key, label, *packages, "tensorflow", **more)
        def _(case: Case) -> Run:
            dataset = make(case)
            epoch = case.batches_per_epoch if whole_epochs else None
            return Loop(lambda: iter(dataset), ahead=ahead(case), epoch=epoch)

        @contender(
            f"{key}-in-function",
            f"{label}, in tf.function",
            *packages,
            "tensorflow",
            loop="tf.function",
            **more,
        )
        def _(case: Case) -> Run:
            return _Reduce(make(case), case, whole_epochs)

        return make

    return define


class _Reduce(Run):
    """Counts the batches of a dataset by `reduce` in a tf.function.

    Each call is an iteration of its own, and its start is timed: a turn is one call over as many
    batches as it takes. With `whole_epochs` over a multiple of an epoch's.
    """

    def __init__(self, dataset: Dataset, case: Case, whole_epochs: bool) -> None:
        self.settles = not whole_epochs
        self._dataset = dataset
        self._epoch = case.batches_per_epoch
        self._step = self._epoch if whole_epochs else 1
        self._count = _counter(dataset)
        self._us = 0.0  # microseconds a batch, as last measured

    def rows(self, count: int) -> Iterator[Array]:
        dataset = self._dataset.take(self._epoch)
        spec = dataset.element_spec
        none = tf.zeros((0, *spec.shape[1:]), spec.dtype)
        put = tf.function(lambda: dataset.reduce(none, lambda a, b: tf.concat([a, b], 0)))
        yield put().numpy()[:count]

    def microseconds(self, seconds: float, at_least: int) -> float:
        if not self._us:
            self._count(1)  # traces the function
        elapsed, batches = 0.0, 0
        while batches < at_least or elapsed < seconds:
            wanted = max(at_least, 1.1 * seconds * 1e6 / self._us if self._us else 1)
            wanted = self._step * math.ceil(wanted / self._step)
            begin = time.perf_counter()
            counted = self._count(wanted)
            spent = time.perf_counter() - begin
            if counted != wanted:
                raise RuntimeError(f"{counted} batches instead of {wanted}")
            if self._us:
                elapsed += spent
                batches += wanted
            # The first call is a guess at how many are needed.
            self._us = spent / wanted * 1e6
        return elapsed / batches * 1e6

    def close(self) -> None:
        del self._count, self._dataset


def _counter(dataset: Dataset) -> Callable[[int], int]:
    """A function that takes n batches and returns how many there were."""

    def count(batches: Any) -> Any:
        return dataset.take(batches).reduce(tf.constant(0, tf.int64), lambda n, batch: n + 1)

    traced = tf.function(count, autograph=False).get_concrete_function(tf.TensorSpec((), tf.int64))
    return lambda batches: int(traced(tf.constant(batches, tf.int64)))


@pipeline("from-generator", "from_generator, memmap")
def _from_generator(case: Case) -> Dataset:
    array = load(case, mapped=True)
    spec = tf.TensorSpec((None, *array.shape[1:]), array.dtype)
    return tf.data.Dataset.from_generator(lambda: batches_of(array, case), output_signature=spec)


@pipeline("from-generator-prefetch", "from_generator, memmap, prefetch", ahead=lambda case: 32)
def _from_generator_prefetch(case: Case) -> Dataset:
    return _from_generator(case).prefetch(tf.data.AUTOTUNE)


@pipeline("from-tensor-slices", "from_tensor_slices, in RAM", whole_epochs=True)
def from_tensor_slices(case: Case) -> Dataset:
    rows = tf.data.Dataset.from_tensor_slices(load(case, mapped=False))
    if case.shuffle:
        rows = rows.shuffle(case.workload.rows, seed=case.seed)
    return rows.batch(case.batch).repeat()


@pipeline("tf-range", "tf.data range alone", has_rows=False)
def _range(case: Case) -> Dataset:
    del case
    return tf.data.Dataset.range(1 << 62)


@pipeline("tf-range-no-prefetch", "tf.data range alone, no prefetch", has_rows=False)
def _range_no_prefetch(case: Case) -> Dataset:
    return without_prefetch(_range(case))


def without_prefetch(dataset: Dataset) -> Dataset:
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return dataset.with_options(options)
