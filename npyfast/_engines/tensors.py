"""What the engines share: TensorFlow's types, and the element_spec and options of a dataset."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from npyfast._backends.cast import is_bfloat16
from npyfast._backends.fields import Column
from npyfast._backends.interface import Counters
from npyfast._batches.batching import Batching
from npyfast._batches.statistics import COUNTERS
from npyfast._nest import Nest, map_nest

if TYPE_CHECKING:
    import tensorflow as tf


def import_tensorflow() -> Any:
    """The module tensorflow, or an ImportError that says what to install."""
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(
            "npyfast.dataset needs TensorFlow: pip install 'npyfast[tensorflow]' (or a TensorFlow "
            "package of your choice); npyfast.batches does without"
        ) from error
    return tensorflow


def tensor_type(dtype: np.dtype[np.generic], name: str = "an array") -> tf.DType:
    """The TensorFlow type that holds items of a NumPy dtype. Raises TypeError naming the array if
    there is none."""
    tf = import_tensorflow()
    if dtype.kind in "SU":
        return tf.string
    if dtype.kind in "mM":
        return tf.int64
    if is_bfloat16(dtype):
        return tf.bfloat16
    try:
        return tf.as_dtype(dtype)
    except TypeError:
        other = {"g": "float64", "G": "complex128"}.get(dtype.char)
        example = f", for example with np.save(path, array.astype({other!r}))" if other else ""
        raise TypeError(
            f"{name}: TensorFlow has no type for {dtype}: convert the array and save it again"
            f"{example}, or convert each batch by dataset(..., transform=...)"
        ) from None


def static_rows(batching: Batching) -> int | None:
    """The number of rows of every batch; None if they differ."""
    plan = batching.plan
    if plan.batches == 0:
        return plan.batch_size if plan.drop_remainder else None
    first, last = plan.batch_rows(0), plan.batch_rows(plan.batches - 1)
    return first if first == last else None


def signature(batching: Batching) -> Nest:
    """The element_spec, without running anything."""
    tf = import_tensorflow()
    rows = static_rows(batching)

    def spec(column: Column) -> Any:
        return tf.TensorSpec((rows, *column.shape), tensor_type(column.dtype, column.name))

    return map_nest(spec, batching.structure)


def cardinality(batching: Batching) -> int:
    """What `Dataset.cardinality()` reports."""
    count = batching.run.batches(batching.plan)
    return int(import_tensorflow().data.INFINITE_CARDINALITY) if count < 0 else count


def map_by_reader(
    source: tf.data.Dataset, function: tf.types.experimental.ConcreteFunction, spec: Nest
) -> tf.data.Dataset:
    """Maps a concrete function over a dataset; `spec` is the element_spec of the result.

    Dataset.map() would run each call on TensorFlow's thread pool and wait for it, which takes many
    times as long as handing over a finished batch. Here the thread that wants the batch runs it.
    """
    tf = import_tensorflow()
    # TensorFlow 2.16 lacks the argument and has an option instead.
    known = inspect.signature(tf.raw_ops.MapDataset).parameters
    here = {"force_synchronous": True} if "force_synchronous" in known else {}
    flat = tf.nest.flatten(spec)
    variant = tf.raw_ops.MapDataset(
        input_dataset=tf.data.experimental.to_variant(source),
        other_arguments=function.captured_inputs,
        f=function,
        output_types=[leaf.dtype for leaf in flat],
        output_shapes=[leaf.shape for leaf in flat],
        use_inter_op_parallelism=False,
        preserve_cardinality=True,
        **here,
    )
    made = tf.data.experimental.from_variant(variant, spec)
    made._npyfast_kept = function, source  # must live as long as the dataset
    if not here:
        options = tf.data.Options()
        options.experimental_optimization.map_parallelization = False
        made = made.with_options(options)
    return made


def counted(made: tf.data.Dataset, counters: Counters) -> tf.data.Dataset:
    """The dataset with counters, which npyfast.statistics() finds from any dataset built on it."""
    setattr(made, COUNTERS, counters)
    return made


def finished(made: tf.data.Dataset, batching: Batching, prefetch: int) -> tf.data.Dataset:
    """The dataset with `prefetch` batches prefetched, and with the options that it needs."""
    tf = import_tensorflow()
    options = tf.data.Options()
    if prefetch:
        made = made.prefetch(prefetch)
    else:
        # Otherwise TensorFlow appends a prefetch, which grows to hundreds of batches and, for small
        # ones, takes as long as everything else together.
        options.experimental_optimization.inject_prefetch = False
    if batching.plan.shard_count > 1:
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return made.with_options(options)
