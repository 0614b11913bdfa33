"""tf.data as its own guides use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from workloads import Case

from contenders.base import Array, Contender, IteratorRun, Run, load, shuffled_indices


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

        array = load(case.path, mapped=True)

        def generate() -> Iterator[Array]:
            for indices in shuffled_indices(len(array), case.batch, case.seed):
                yield array[indices]

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


class FromTensorSlices(Contender):
    key = "from-tensor-slices"
    label = "from_tensor_slices, in RAM"
    does = (
        "tf.data.Dataset.from_tensor_slices(np.load(path)).shuffle(n).batch(B).repeat(), turns of "
        "whole epochs, since shuffle() fills its buffer at the start of each"
    )
    packages = ("tensorflow",)

    def open(self, case: Case) -> Run:
        import tensorflow as tf

        with tf.device("/CPU:0"):
            dataset = tf.data.Dataset.from_tensor_slices(load(case.path, mapped=False))
        dataset = dataset.shuffle(case.workload.rows, seed=case.seed).batch(case.batch).repeat()
        return IteratorRun(
            lambda: iter(dataset), batches_per_epoch=case.batches_per_epoch, whole_epochs=True
        )


class Range(Contender):
    key = "tf-range"
    label = "tf.data range alone (floor)"
    does = "tf.data.Dataset.range(n) with no rows at all: what tf.data costs an element"
    packages = ("tensorflow",)
    has_rows = False

    def open(self, case: Case) -> Run:
        import tensorflow as tf

        del case
        dataset = tf.data.Dataset.range(1 << 62)
        return IteratorRun(lambda: iter(dataset))
