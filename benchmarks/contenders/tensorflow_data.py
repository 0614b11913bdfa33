"""tf.data as its own guides use it; and datasets that a tf.function reduces, without Python."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from harness.contender import Array, Contender, Loop, Run, batches_of, load
from harness.workloads import Case

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """An endless dataset of a case's batches, taken by a Python loop."""

    make: Callable[[Case], tf.data.Dataset]
    ahead: Callable[[Case], int] = lambda case: 0  # batches that it may hold ready
    whole_epochs: bool = False  # turns cover whole ones: see Loop

    def __call__(self, case: Case) -> Run:
        dataset = self.make(case)
        epoch = case.batches_per_epoch if self.whole_epochs else None
        return Loop(lambda: iter(dataset), ahead=self.ahead(case), epoch=epoch)


def _from_generator(case: Case) -> tf.data.Dataset:
    import tensorflow as tf

    array = load(case, mapped=True)
    spec = tf.TensorSpec((None, *array.shape[1:]), array.dtype)
    return tf.data.Dataset.from_generator(lambda: batches_of(array, case), output_signature=spec)


def _from_generator_prefetch(case: Case) -> tf.data.Dataset:
    import tensorflow as tf

    return _from_generator(case).prefetch(tf.data.AUTOTUNE)


def from_tensor_slices(case: Case) -> tf.data.Dataset:
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices(load(case, mapped=False))
    if case.shuffle:
        rows = rows.shuffle(case.workload.rows, seed=case.seed)
    return rows.batch(case.batch).repeat()


def _range(case: Case) -> tf.data.Dataset:
    import tensorflow as tf

    del case
    return tf.data.Dataset.range(1 << 62)


def without_prefetch(dataset: tf.data.Dataset) -> tf.data.Dataset:
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return dataset.with_options(options)


class _Reduce(Run):
    """Counts the batches of a dataset by `reduce` in a tf.function.

    Each call is an iteration of its own, and its start is timed: a turn is one call over as many
    batches as it takes. With `whole_epochs` over a multiple of an epoch's.
    """

    def __init__(self, dataset: tf.data.Dataset, case: Case, *, whole_epochs: bool) -> None:
        self.settles = not whole_epochs
        self._dataset = dataset
        self._epoch = case.batches_per_epoch
        self._step = self._epoch if whole_epochs else 1
        self._count = _counter(dataset)
        self._us = 0.0  # microseconds a batch, as last measured

    def rows(self, count: int) -> Iterator[Array]:
        import tensorflow as tf

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


def _counter(dataset: tf.data.Dataset) -> Callable[[int], int]:
    """A function that takes so many batches and returns how many there were."""
    import tensorflow as tf

    def count(batches: Any) -> Any:
        return dataset.take(batches).reduce(tf.constant(0, tf.int64), lambda n, batch: n + 1)

    traced = tf.function(count, autograph=False).get_concrete_function(tf.TensorSpec((), tf.int64))
    return lambda batches: int(traced(tf.constant(batches, tf.int64)))


def in_function(contender: Contender) -> Contender:
    """A contender's dataset, reduced by TensorFlow instead of iterated by Python."""
    pipeline = contender.start
    assert isinstance(pipeline, Pipeline)
    return dataclasses.replace(
        contender,
        key=f"{contender.key}-in-function",
        label=f"{contender.label}, in tf.function",
        does=f"{contender.key}'s dataset, its batches counted by dataset.take(k).reduce in a "
        "tf.function",
        start=lambda case: _Reduce(pipeline.make(case), case, whole_epochs=pipeline.whole_epochs),
        loop="tf.function",
    )


FROM_GENERATOR = Contender(
    "from-generator",
    "from_generator, memmap",
    "tf.data.Dataset.from_generator over np.load(path, mmap_mode='r')[indices], one batch an "
    "element, permutations drawn beforehand",
    Pipeline(_from_generator),
    ("tensorflow",),
)
FROM_GENERATOR_PREFETCH = Contender(
    "from-generator-prefetch",
    "from_generator, memmap, prefetch",
    "the same with .prefetch(tf.data.AUTOTUNE)",
    Pipeline(_from_generator_prefetch, lambda case: 32),
    ("tensorflow",),
)
FROM_TENSOR_SLICES = Contender(
    "from-tensor-slices",
    "from_tensor_slices, in RAM",
    "tf.data.Dataset.from_tensor_slices(np.load(path)).shuffle(n).batch(B).repeat(), turns of "
    "whole epochs, since shuffle() fills its buffer at the start of each",
    Pipeline(from_tensor_slices, whole_epochs=True),
    ("tensorflow",),
)
RANGE = Contender(
    "tf-range",
    "tf.data range alone",
    "tf.data.Dataset.range(n) with no rows at all: what tf.data costs an element. TensorFlow "
    "appends a prefetch to it",
    Pipeline(_range),
    ("tensorflow",),
    has_rows=False,
)
RANGE_NO_PREFETCH = Contender(
    "tf-range-no-prefetch",
    "tf.data range alone, no prefetch",
    "the same with the option inject_prefetch = False, as npyfast.dataset sets it",
    Pipeline(lambda case: without_prefetch(_range(case))),
    ("tensorflow",),
    has_rows=False,
)
