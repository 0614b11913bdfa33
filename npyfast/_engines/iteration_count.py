"""Counting the iterations of a dataset inside TensorFlow's graph.

tf.data has no counter that a graph could read. RandomDatasetV2 starts each iteration with numbers
of its own, always the same ones in the k-th, and an op derives k from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from npyfast._engines.tensors import import_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

Seeds = tuple[int, int]


def numbers(seeds: Seeds) -> tf.data.Dataset:
    """A dataset of one element, two numbers, which differ in each iteration."""
    tf = import_tensorflow()
    # Dataset.random() would mix in the program's global seed, which may differ after a restart.
    variant = tf.raw_ops.RandomDatasetV2(
        seed=seeds[0],
        seed2=seeds[1],
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        rerandomize_each_iteration=True,
        output_types=[tf.int64],
        output_shapes=[()],
    )
    drawn = tf.data.experimental.from_variant(variant, tf.TensorSpec((), tf.int64))
    return drawn.batch(2, drop_remainder=True).take(1)


def counter(ops: ModuleType, seeds: Seeds, file: str) -> Callable[[Any], Any]:
    """A function that maps the numbers of iteration k to k. Errors name the file."""
    tf = import_tensorflow()
    seed, seed2 = seeds

    def count(numbers: Any) -> Any:
        iteration = ops.npyfast_iteration(
            numbers=numbers, seed=seed, seed2=seed2, file=os.fsencode(file)
        )
        return tf.ensure_shape(iteration, ())

    counting: Callable[[Any], Any] = tf.autograph.experimental.do_not_convert(count)
    return counting


def can_count(ops: ModuleType) -> bool:
    """Whether this TensorFlow draws the numbers from which the op derives iterations."""
    tf = import_tensorflow()
    seeds = (1, 2)
    with tf.init_scope():
        iterations = numbers(seeds).map(counter(ops, seeds, ""))
        try:
            counted = [int(iteration) for _ in range(3) for iteration in iterations]
        except tf.errors.FailedPreconditionError:
            return False
    return counted == [0, 1, 2]
