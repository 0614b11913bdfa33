"""The generator engine: `tf.data.Dataset.from_generator` over a stream of batches."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from npyfast._backends.cast import is_bfloat16
from npyfast._backends.fields import AnyArray
from npyfast._batches.batching import Batching
from npyfast._batches.delivered_counters import TransformCounters
from npyfast._batches.transform import apply
from npyfast._engines.interpreter_exit import UntilExit
from npyfast._engines.tensors import (
    cardinality,
    counted,
    finished,
    import_tensorflow,
    map_by_reader,
    signature,
    static_rows,
    tensor_type,
)
from npyfast._errors import shown
from npyfast._nest import Nest, leaves, map_nest
from npyfast._order.plan import Plan, Run, make_plan

if TYPE_CHECKING:
    import tensorflow as tf

# A call into Python costs about 100 us regardless of its size. Small batches are therefore handed
# over in groups of up to this many bytes and batches, which TensorFlow splits in C++.
GROUP_BYTES = 4 << 20
GROUP_BATCHES = 128
# Splitting costs a copy, which for larger batches takes longer than the call.
GROUPED_BATCH_BYTES = 1 << 20


def _needs_view(dtype: np.dtype[np.generic]) -> bool:
    """Whether TensorFlow cannot make a tensor of this dtype, but of the same bytes as another."""
    return dtype.kind in "mM" or (dtype.char == "V" and is_bfloat16(dtype))


def to_tensor_array(array: AnyArray) -> AnyArray:
    """An array that TensorFlow can make a tensor of: dates and times become int64, V2 bfloat16."""
    if array.dtype.kind in "mM":
        return array.view(np.int64)
    if _needs_view(array.dtype):
        return array.view(tensor_type(array.dtype).as_numpy_dtype)
    return array


def _transformed_signature(batching: Batching) -> Nest:
    """The element_spec of transformed batches, found from the first batch."""
    tf = import_tensorflow()
    rows = static_rows(batching)
    counters = TransformCounters(batching.backend.make_counters())
    alone = replace(batching, transform_threads=1, counters=counters)
    run = Run(batching.run.start_epoch)
    if batching.plan.batches == 0:
        # Of an empty selection, such as the second part of a split, any rows will do.
        alone, run = replace(alone, plan=_some_rows(batching)), Run()
    none = object()
    first = next(iter(alone.stream(run)), none)
    if first is none:
        empty = map_nest(lambda c: np.empty((0, *c.shape), c.dtype), batching.structure)
        assert batching.transform is not None
        first = apply(batching.transform, empty)

    def spec(value: Any) -> Any:
        array = _as_array(value)
        # The first dimension is the batch's if it is as long, and then as static as that.
        static = array.shape[:1] == (rows,) or batching.plan.batches == 0
        shape = (rows if static else None, *array.shape[1:]) if array.ndim else ()
        return tf.TensorSpec(shape, _returned_type(array))

    found = map_nest(spec, first)
    if next(leaves(found), None) is None:
        raise TypeError(f"the transform returned no array, but {shown(first)}")
    return found


def _some_rows(batching: Batching) -> Plan:
    """A plan that ignores the selection, and so has a batch if there are any rows."""
    plan = batching.plan
    return make_plan(
        len(batching.leaves[0]),
        batch_size=plan.batch_size,
        shuffle=False,
        seed=None,
        drop_remainder=False,
        shard=None,
        rows=None,
    )


def _group(batching: Batching) -> int:
    """How many batches to hand over at once."""
    if batching.transform is not None or batching.made_ahead or batching.plan.full_batches == 0:
        return 1
    row_bytes = 0
    for column in leaves(batching.structure):
        row_bytes += column.dtype.itemsize * int(np.prod(column.shape, dtype=np.int64))
    batch_bytes = max(1, row_bytes * batching.plan.batch_size)
    if batch_bytes > GROUPED_BATCH_BYTES:
        return 1
    most = min(GROUP_BATCHES, GROUP_BYTES // batch_bytes, batching.plan.full_batches)
    return 1 << (most.bit_length() - 1)


def _grouped(spec: Nest) -> Nest:
    """The signature of a group of batches with this signature."""
    tf = import_tensorflow()
    return map_nest(lambda s: tf.TensorSpec((None, *s.shape), s.dtype), spec)


def _generator(
    held: Callable[[], Batching | None], group: int, signature: Nest
) -> Callable[[], Iterator[Any]]:
    """The function that from_generator calls at the start of each iteration."""
    iterations = itertools.count()

    def begin() -> Iterator[Any]:
        batching = held()
        if batching is None:
            raise RuntimeError(
                "the object that npyfast.dataset returned was deleted, and so were all datasets "
                "built on it: keep one of them while its batches are read"
            )
        dtypes = [column.dtype for column in leaves(batching.structure)]
        viewed = any(map(_needs_view, dtypes))
        stream = UntilExit(batching.stream(batching.run_of(next(iterations)), group=group))
        if batching.transform is not None:
            return map(functools.partial(_checked, signature), stream)
        return map(_tensor_arrays, stream) if viewed else stream

    return begin


def _tensor_arrays(element: Nest) -> Nest:
    return map_nest(lambda value: to_tensor_array(_as_array(value)), element)


def _as_array(value: Any) -> AnyArray:
    """A leaf of a transform's result as an array, if a tensor can be made of it."""
    advice = "return an array, or a tuple or dict of arrays"
    if np.ma.is_masked(value):
        raise TypeError("the transform returned masked items: return array.filled(...)")
    try:
        array = np.asarray(value)
    except ValueError as error:  # a list of arrays of several shapes
        name = type(value).__name__
        raise TypeError(f"the transform returned a {name} that is no array: {advice}") from error
    objects = array.flat if array.dtype.hasobject else ()
    for item in objects:
        if not isinstance(item, (str, bytes)):  # TensorFlow has a type for these
            name = type(item).__name__
            raise TypeError(f"the transform returned Python objects (of type {name}): {advice}")
    return array


def _checked(signature: Nest, element: Nest) -> Nest:
    """A transformed element as arrays. Raises TypeError if types or shapes differ from the first
    element's."""
    flatten = import_tensorflow().nest.flatten
    arrays = _tensor_arrays(element)
    # TensorFlow checks the nest, but would silently truncate 0.5 to fit an int.
    for array, spec in zip(flatten(arrays), flatten(signature), strict=False):
        if _returned_type(array) != spec.dtype:
            raise TypeError(
                f"the transform returned {array.dtype} where it returned {spec.dtype.name} for the "
                "first batch"
            )
        if not spec.shape.is_compatible_with(array.shape):
            raise TypeError(
                f"the transform returned an array of shape {array.shape} where, by that of the "
                f"first batch, {tuple(spec.shape)} is expected"
            )
    return arrays


def _returned_type(array: AnyArray) -> tf.DType:
    """The TensorFlow type for an array that a transform returned."""
    try:
        return tensor_type(array.dtype)
    except TypeError:
        hint = ": return a dict of its fields" if array.dtype.names else ""
        raise TypeError(
            f"the transform returned {array.dtype}: TensorFlow has no type for it{hint}"
        ) from None


def _of_cardinality(made: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """The same dataset with a known cardinality.

    If some elements are errors, a reader that ignores errors gets fewer elements. The end that
    assert_cardinality() checks would then be an error too, again and again, and ignore_errors()
    would never return. So the dataset is declared endless, and a range zipped with it ends it: an
    error uses up a number as well.
    """
    tf = import_tensorflow()
    endless = tf.data.INFINITE_CARDINALITY
    made = made.apply(tf.data.experimental.assert_cardinality(endless))
    if count == endless:
        return made
    numbered = tf.data.Dataset.zip((tf.data.Dataset.range(count), made))
    spec = made.element_spec
    flat = tf.nest.flatten(spec)
    # TensorFlow sees that the function only picks arguments, and does not call it.
    without = tf.function(
        lambda number, *columns: columns,
        input_signature=[tf.TensorSpec((), tf.int64), *flat],
        autograph=False,
    ).get_concrete_function()
    return map_by_reader(numbered, without, spec)


def begins_anywhere(batching: Batching) -> bool:
    """See npyfast._engines.Engine."""
    return True


def make_dataset(batching: Batching, prefetch: int | None) -> tf.data.Dataset:
    """The batches as a dataset; see npyfast._engines.Engine."""
    tf = import_tensorflow()
    group = _group(batching)
    spec = signature(batching) if batching.transform is None else _transformed_signature(batching)
    output = spec if group == 1 else _grouped(spec)
    # TensorFlow keeps every generator until the process or its graph ends, but files must be closed
    # with the last dataset. A dataset owns those that it is built on, and an iterator its dataset.
    held = weakref.ref(batching) if tf.executing_eagerly() else lambda: batching
    begin = _generator(held, group, spec)
    made = tf.data.Dataset.from_generator(begin, output_signature=output)
    made._npyfast_batching = batching
    if group > 1:

        def batches_of(*group: Any) -> Any:
            nest = tf.nest.pack_sequence_as(spec, tf.nest.flatten(group))
            return tf.data.Dataset.from_tensor_slices(nest)

        # unbatch() does the same, but takes twice as long for all but the smallest batches.
        made = made.prefetch(1).flat_map(batches_of)
    made = counted(_of_cardinality(made, cardinality(batching)), batching.counters)
    if prefetch is None:
        # Groups have been prefetched already.
        prefetch = 2 if group == 1 else 0
    return finished(made, batching, prefetch)
