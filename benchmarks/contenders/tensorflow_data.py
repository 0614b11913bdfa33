"""tf.data as its own guides use it."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from workloads import Case

from contenders.base import Array, Contender, IteratorRun, Run, batches_of, load

if TYPE_CHECKING:
    import tensorflow as tf


class FromGenerator(Contender):
    key = "from-generator"
    label = "from_generator, memmap"
    does = (
        "tf.data.Dataset.from_generator over np.load(path, mmap_mode='r')[indices], one batch an "
        "element, permutations drawn beforehand"
    )
    packages = ("tensorflow",)
    prefetch: ClassVar[bool] = False

    def open(self, case: Case) -> Run:
        import tensorflow as tf

        array = load(case.path, mapped=True, cold=case.cold)

        def generate() -> Iterator[Array]:
            return batches_of(array, case)

        spec = tf.TensorSpec((None, *array.shape[1:]), array.dtype)
        dataset = tf.data.Dataset.from_generator(generate, output_signature=spec)
        if self.prefetch:
            dataset = dataset.prefetch(tf.data.AUTOTUNE)
        return IteratorRun(lambda: iter(dataset), ahead=32 if self.prefetch else 0)


class FromGeneratorPrefetch(FromGenerator):
    key = "from-generator-prefetch"
    label = "from_generator, memmap, prefetch"
    does = "the same with .prefetch(tf.data.AUTOTUNE)"
    prefetch = True


class DatasetContender(Contender):
    """A dataset of TensorFlow's own, which can be iterated from Python or in a tf.function."""

    whole_epochs: ClassVar[bool] = False  # see IteratorRun

    @abc.abstractmethod
    def dataset(self, case: Case) -> tf.data.Dataset:
        """An endless dataset of the case's batches."""

    def ahead(self, case: Case) -> int:
        """How many batches it may hold ready, at most."""
        del case
        return 0

    def open(self, case: Case) -> Run:
        dataset = self.dataset(case)
        return IteratorRun(
            lambda: iter(dataset),
            ahead=self.ahead(case),
            batches_per_epoch=case.batches_per_epoch,
            whole_epochs=self.whole_epochs,
        )


class FromTensorSlices(DatasetContender):
    key = "from-tensor-slices"
    label = "from_tensor_slices, in RAM"
    does = (
        "tf.data.Dataset.from_tensor_slices(np.load(path)).shuffle(n).batch(B).repeat(), turns of "
        "whole epochs, since shuffle() fills its buffer at the start of each"
    )
    packages = ("tensorflow",)
    whole_epochs = True

    def dataset(self, case: Case) -> tf.data.Dataset:
        import tensorflow as tf

        with tf.device("/CPU:0"):
            rows = tf.data.Dataset.from_tensor_slices(load(case.path, mapped=False))
        if case.shuffle:
            rows = rows.shuffle(case.workload.rows, seed=case.seed)
        return rows.batch(case.batch).repeat()


class Range(DatasetContender):
    key = "tf-range"
    label = "tf.data range alone"
    does = (
        "tf.data.Dataset.range(n) with no rows at all: what tf.data costs an element. TensorFlow "
        "appends a prefetch to it"
    )
    packages = ("tensorflow",)
    has_rows = False

    def dataset(self, case: Case) -> tf.data.Dataset:
        import tensorflow as tf

        del case
        return tf.data.Dataset.range(1 << 62)


class RangeNoPrefetch(Range):
    key = "tf-range-no-prefetch"
    label = "tf.data range alone, no prefetch"
    does = "the same with the option inject_prefetch = False, as npyfast.dataset sets it"

    def dataset(self, case: Case) -> tf.data.Dataset:
        import tensorflow as tf

        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False
        return super().dataset(case).with_options(options)
