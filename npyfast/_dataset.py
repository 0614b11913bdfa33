"""`npyfast.dataset`: a tf.data.Dataset. The only file that imports TensorFlow, once called."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from npyfast._batches import Batching, Transform, make_batching
from npyfast._fields import AnyArray, Column
from npyfast._nest import Nest, leaves, map_nest
from npyfast._plan import Run, integer

if TYPE_CHECKING:
    import tensorflow as tf

ENGINES = ("auto", "generator")

# A call into Python costs about 100 us whatever it brings. Small batches are therefore handed over
# in groups of up to so many bytes and batches, which TensorFlow's C++ takes apart; that costs a
# copy, which for batches larger than the last number is more than the call.
GROUP_BYTES = 4 << 20
GROUP_BATCHES = 128
GROUPED_BATCH_BYTES = 1 << 20


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


def tensor_type(dtype: np.dtype[np.generic]) -> tf.DType:
    """The TensorFlow type that holds items of a NumPy dtype; TypeError where there is none."""
    tf = import_tensorflow()
    if dtype.kind in "SU":
        return tf.string
    if dtype.kind in "mM":
        return tf.int64
    try:
        return tf.as_dtype(dtype)
    except TypeError:
        raise TypeError(
            f"TensorFlow has no type for {dtype}: convert the array and save it again, for example "
            "with np.save(path, array.astype('float64')), or convert each batch by "
            "dataset(..., transform=...)"
        ) from None


def to_tensor_array(array: AnyArray) -> AnyArray:
    """What TensorFlow makes a tensor of: dates and times are their int64."""
    return array.view(np.int64) if array.dtype.kind in "mM" else array


def _static_rows(batching: Batching) -> int | None:
    """The number of rows, if every batch of the dataset has the same."""
    plan = batching.plan
    if plan.batches == 0:
        return plan.batch_size if plan.drop_remainder else None
    first, last = plan.batch_rows(0), plan.batch_rows(plan.batches - 1)
    return first if first == last else None


def _signature(batching: Batching) -> Nest:
    """The element_spec, without running anything."""
    tf = import_tensorflow()
    rows = _static_rows(batching)

    def spec(column: Column) -> Any:
        return tf.TensorSpec((rows, *column.shape), tensor_type(column.dtype))

    return map_nest(spec, batching.structure)


def _transformed_signature(batching: Batching) -> Nest:
    """The element_spec of transformed batches, found from the first batch."""
    tf = import_tensorflow()
    rows = _static_rows(batching)
    first = next(iter(batching.stream(Run(batching.run.start_epoch))), None)
    if first is None:
        empty = map_nest(lambda c: np.empty((0, *c.shape), c.dtype), batching.structure)
        assert batching.transform is not None
        first = batching.transform(empty)

    def spec(value: Any) -> Any:
        array = np.asarray(value)
        # The first dimension is the batch's, and as static as that.
        shape = (rows, *array.shape[1:]) if array.ndim else ()
        return tf.TensorSpec(shape, tensor_type(array.dtype))

    return map_nest(spec, first)


def _group(batching: Batching) -> int:
    """How many batches to hand over at once; 1: each by itself."""
    if batching.transform is not None or batching.plan.full_batches == 0:
        return 1
    row_bytes = 0
    for column in leaves(batching.structure):
        row_bytes += column.dtype.itemsize * int(np.prod(column.shape, dtype=np.int64))
    batch_bytes = max(1, row_bytes * batching.plan.batch_size)
    if batch_bytes > GROUPED_BATCH_BYTES:
        return 1
    most = min(GROUP_BATCHES, GROUP_BYTES // batch_bytes, batching.plan.full_batches)
    return 1 << (most.bit_length() - 1)


def _grouped(spec: Any) -> Any:
    """The signature of a group of batches of this signature."""
    tf = import_tensorflow()
    return map_nest(lambda s: tf.TensorSpec((None, *s.shape), s.dtype), spec)


def _generator(batching: Batching, group: int, signature: Nest) -> Callable[[], Iterator[Any]]:
    """What from_generator calls at the start of each iteration."""
    iterations = itertools.count()
    times = any(column.dtype.kind in "mM" for column in leaves(batching.structure))

    def begin() -> Iterator[Any]:
        stream = batching.stream(batching.run_of(next(iterations)), group=group)
        if batching.transform is not None:
            return map(functools.partial(_checked, signature), stream)
        return map(_tensor_arrays, stream) if times else stream

    return begin


def _tensor_arrays(element: Nest) -> Nest:
    return map_nest(lambda value: to_tensor_array(np.asarray(value)), element)


def _checked(signature: Nest, element: Nest) -> Nest:
    """A transformed element as arrays, of the types that the first one had."""
    flatten = import_tensorflow().nest.flatten
    arrays = _tensor_arrays(element)
    # TensorFlow checks the nest and the shapes, but would cut 0.5 to fit an int without a word.
    for array, spec in zip(flatten(arrays), flatten(signature), strict=False):
        if tensor_type(array.dtype) != spec.dtype:
            raise TypeError(
                f"the transform returned {array.dtype} where it returned {spec.dtype.name} for the "
                "first batch"
            )
    return arrays


def dataset(
    source: Nest,
    batch_size: int = 32,
    shuffle: bool = False,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    drop_remainder: bool = False,
    shard: Any = None,
    rows: Any = None,
    transform: Transform | None = None,
    start_epoch: int = 0,
    start_batch: int = 0,
    prefetch: int | None = None,
    threads: int | None = None,
    readahead: str = "auto",
    engine: str = "auto",
) -> tf.data.Dataset:
    """Batches of rows as a `tf.data.Dataset`, for `model.fit` and any other pipeline.

    Replaces `tf.data.Dataset.from_tensor_slices(np.load(path)).shuffle(n).batch(batch_size)`, or a
    `from_generator` over a memory map, whether or not the data fits in memory.

    Args:
        source, batch_size, shuffle, seed, epochs, drop_remainder, shard, rows, start_epoch,
            start_batch, threads, readahead: as for `npyfast.batches`, and with the same batches in
            the same order. With `epochs=None` each pass over the dataset is the next epoch, so
            that `model.fit(ds, epochs=10)` sees ten orders.
        transform: a function of one batch (the same nest of NumPy arrays), for what TensorFlow's
            ops can't do. What it returns may be any nest of arrays; dtypes and shapes are found
            from the first batch, for which it is called once more. Its first dimension is the
            batch's.
        prefetch: batches that TensorFlow keeps ready; 0: none, -1: tf.data.AUTOTUNE. The default
            needs no tuning: batches are made ahead by npyfast's own threads as well.
        engine: how batches reach tf.data: "generator", or "auto", which chooses.

    Returns:
        A `tf.data.Dataset` of known cardinality. Each element has the nest of `source`, each tensor
        the shape `(batch, *row_shape)`; the batch dimension is static where all batches have the
        same size. A structured dtype gives a dict of its fields, strings (`S`, `U`) are tf.string,
        dates and times their int64.

    Raises:
        ImportError: TensorFlow is not installed.
        TypeError: TensorFlow has no type for a dtype, or it holds Python objects.
        NpyFormatError, ValueError, IndexError, OSError: as `npyfast.batches` raises them.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.zeros((100, 28, 28), np.uint8))
        >>> np.save("y.npy", np.zeros(100, np.int64))
        >>> ds = npyfast.dataset(("X.npy", "y.npy"), batch_size=32, shuffle=True)
        >>> ds.element_spec[0].shape, len(ds)
        (TensorShape([None, 28, 28]), 4)
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}, got {engine!r}")
    if prefetch is not None:
        prefetch = integer("prefetch", prefetch, -1)
    batching = make_batching(
        source,
        batch_size,
        shuffle,
        seed=seed,
        epochs=epochs,
        drop_remainder=drop_remainder,
        shard=shard,
        rows=rows,
        transform=transform,
        start_epoch=start_epoch,
        start_batch=start_batch,
        threads=threads,
        readahead=readahead,
    )
    return _from_generator(batching, prefetch)


def _from_generator(batching: Batching, prefetch: int | None) -> tf.data.Dataset:
    tf = import_tensorflow()
    group = _group(batching)
    if batching.transform is None:
        signature = _signature(batching)
    else:
        signature = _transformed_signature(batching)
    output = signature if group == 1 else _grouped(signature)
    begin = _generator(batching, group, signature)
    made = tf.data.Dataset.from_generator(begin, output_signature=output)
    options = tf.data.Options()
    if group > 1:

        def batches_of(*group: Any) -> Any:
            nest = tf.nest.pack_sequence_as(signature, tf.nest.flatten(group))
            return tf.data.Dataset.from_tensor_slices(nest)

        # unbatch() would do the same, and takes twice as long for all but the smallest batches.
        made = made.prefetch(1).flat_map(batches_of)
    count = batching.run.batches(batching.plan)
    made = made.apply(
        tf.data.experimental.assert_cardinality(
            tf.data.INFINITE_CARDINALITY if count < 0 else count
        )
    )
    if prefetch is None:
        # What is grouped has been prefetched.
        prefetch = 2 if group == 1 else 0
    if prefetch:
        made = made.prefetch(prefetch)
    else:
        # TensorFlow would append a prefetch by itself, which grows to hundreds of batches and, for
        # small ones, takes as long as all the rest.
        options.experimental_optimization.inject_prefetch = False
    if batching.plan.shard_count > 1:
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return made.with_options(options)
