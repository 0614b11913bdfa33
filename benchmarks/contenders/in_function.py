"""Datasets whose batches never come to Python: they are counted within a tf.function."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from workloads import Case

from contenders.base import Array, Contender, Run
from contenders.npyfast_contenders import NpyfastGraph
from contenders.tensorflow_data import DatasetContender, FromTensorSlices, Range, RangeNoPrefetch

if TYPE_CHECKING:
    import tensorflow as tf


class InFunction(Contender):
    """Another contender's dataset, reduced by TensorFlow instead of iterated by Python."""

    loop = "tf.function"
    of: ClassVar[type[DatasetContender]]

    def open(self, case: Case) -> Run:
        dataset = self.of(self.settings).dataset(case)
        return _ReduceRun(dataset, case.batches_per_epoch, whole_epochs=self.of.whole_epochs)


class _ReduceRun(Run):
    """Counts the batches of a dataset by `reduce` in a tf.function.

    Each call is an iteration of its own, from the first epoch's first batch on, so that starting
    the iteration is timed: a turn is one call over as many batches as it takes. `whole_epochs` as
    for IteratorRun.
    """

    def __init__(
        self, dataset: tf.data.Dataset, batches_per_epoch: int, *, whole_epochs: bool
    ) -> None:
        self._dataset: tf.data.Dataset | None = dataset
        self._batches_per_epoch = batches_per_epoch
        self._step = batches_per_epoch if whole_epochs else 1
        self._count: Callable[[int], Any] | None = _counter(dataset)
        self._us = 0.0  # microseconds a batch, as last seen

    def rows(self, count: int) -> Iterator[Array]:
        assert self._dataset is not None
        yield _collected(self._dataset.take(self._batches_per_epoch))[:count]

    def warm_up(self, seconds: float) -> None:
        if self._us == 0:
            self._first(seconds)
        elif self._step == 1:  # others begin by filling a buffer, turn or not
            self._seconds(self._batches(seconds))

    def turn(self, seconds: float) -> float:
        elapsed = 0.0
        batches = 0
        while elapsed < seconds:
            wanted = self._batches(1.1 * seconds)
            elapsed += self._seconds(wanted)
            batches += wanted
            self._us = elapsed / batches * 1e6
        return self._us

    def close(self) -> None:
        self._count = self._dataset = None

    def _first(self, seconds: float) -> None:
        """Finds out how long a batch takes; traces the function meanwhile."""
        self._seconds(1)
        batches = self._step
        while True:
            elapsed = self._seconds(batches)
            self._us = elapsed / batches * 1e6
            if elapsed >= seconds / 2:
                return
            batches *= 2

    def _batches(self, seconds: float) -> int:
        """How many batches take so long."""
        return self._step * math.ceil(max(seconds * 1e6 / self._us, 3) / self._step)

    def _seconds(self, batches: int) -> float:
        assert self._count is not None
        begin = time.perf_counter()
        counted = int(self._count(batches))
        elapsed = time.perf_counter() - begin
        if counted != batches:
            raise RuntimeError(f"{counted} batches instead of {batches}")
        return elapsed


def _counter(dataset: tf.data.Dataset) -> Callable[[int], Any]:
    """A tf.function that takes so many batches and says how many there were."""
    import tensorflow as tf

    def plus_one(count: Any, batch: Any) -> Any:
        del batch
        return count + 1

    def count(batches: Any) -> Any:
        return dataset.take(batches).reduce(tf.constant(0, tf.int64), plus_one)

    traced = tf.function(count, autograph=False).get_concrete_function(tf.TensorSpec((), tf.int64))
    return lambda batches: traced(tf.constant(batches, tf.int64))


def _collected(dataset: tf.data.Dataset) -> Array:
    """The rows of a finite dataset, put together within a tf.function."""
    import tensorflow as tf

    spec = dataset.element_spec

    def append(rows: Any, batch: Any) -> Any:
        return tf.concat([rows, batch], axis=0)

    def collect() -> Any:
        return dataset.reduce(tf.zeros((0, *spec.shape[1:]), spec.dtype), append)

    array: Array = tf.function(collect, autograph=False).get_concrete_function()().numpy()
    return array


class NpyfastGraphInFunction(InFunction):
    key = "dataset-graph-in-function"
    label = "npyfast.dataset, graph, in tf.function"
    does = "dataset-graph's dataset, its batches counted by dataset.take(k).reduce in a tf.function"
    packages = NpyfastGraph.packages
    of = NpyfastGraph


class RangeInFunction(InFunction):
    key = "tf-range-in-function"
    label = "tf.data range alone, in tf.function"
    does = "tf-range's dataset under the same reduce"
    packages = Range.packages
    has_rows = False
    of = Range


class RangeNoPrefetchInFunction(InFunction):
    key = "tf-range-no-prefetch-in-function"
    label = "tf.data range, no prefetch, in tf.function"
    does = "tf-range-no-prefetch's dataset under the same reduce"
    packages = RangeNoPrefetch.packages
    has_rows = False
    of = RangeNoPrefetch


class FromTensorSlicesInFunction(InFunction):
    key = "from-tensor-slices-in-function"
    label = "from_tensor_slices, in tf.function"
    does = "from-tensor-slices's dataset under the same reduce, turns of whole epochs"
    packages = FromTensorSlices.packages
    of = FromTensorSlices
