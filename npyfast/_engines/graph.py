"""The graph engine: `Dataset.range` mapped over one op of TensorFlow's graph, without Python.

csrc/tensorflow/ holds the ops; docs/architecture.md explains the design.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from npyfast._backends import backend
from npyfast._batches.batching import Batching
from npyfast._engines import memory
from npyfast._engines.indexes import Grid, make_indexes
from npyfast._engines.op_attributes import Attributes, op_attributes
from npyfast._engines.op_library import OpCounters, load
from npyfast._engines.tensors import (
    counted,
    finished,
    import_tensorflow,
    map_by_reader,
    signature,
)
from npyfast._nest import pack

if TYPE_CHECKING:
    import tensorflow as tf


def obstacle(batching: Batching) -> str | None:
    """Why the graph engine cannot deliver these batches, if it cannot."""
    if not backend().SERVES_GRAPHS:
        return f"it needs the native backend, and {backend().NAME} is in use"
    if batching.transform is not None:
        return "transform is a Python function"
    if not batching.backend.SERVES_GRAPHS:
        return (
            "a source is read by Python (a compressed or chunked HDF5 dataset, or an object of "
            "another package; npyfast.pack makes a file of it)"
        )
    in_memory = memory.obstacle(batching)
    if in_memory is not None:
        return in_memory
    tf = import_tensorflow()
    legacy = not (tf.executing_eagerly() or tf.inside_function())
    if legacy and batching.endless_epochs and batching.plan.seed is not None:
        return "a graph of TensorFlow 1 can't count epochs (pass epochs)"
    return None


def begins_anywhere(batching: Batching) -> bool:
    """See npyfast._engines.Engine. Without shuffling, each iteration is the same plain range."""
    return batching.plan.seed is not None or batching.run.epochs < 0


def make_dataset(batching: Batching, prefetch: int | None) -> tf.data.Dataset:
    """The batches as a dataset; see npyfast._engines.Engine."""
    indexes, grid = make_indexes(batching)
    # The ops' own threads make batches ahead. A prefetch by TensorFlow would cost one more thread
    # switch for each batch, and put what it holds into every checkpoint.
    return finished(_map_batches(indexes, batching, grid), batching, prefetch or 0)


def _map_batches(indexes: tf.data.Dataset, batching: Batching, grid: Grid) -> tf.data.Dataset:
    """The dataset of the batches with these indexes."""
    tf = import_tensorflow()
    counters = OpCounters()
    arrays = [memory.share(array) for array in memory.arrays_in_memory(batching)]
    attributes = {
        **op_attributes(batching, grid, [array.layout for array in arrays]),
        "statistics": counters.number,
    }
    tensors = [array.tensor for array in arrays]
    spec = signature(batching)
    function = tf.function(
        _batch_function(batching, grid, attributes, tensors, tf.nest.flatten(spec)),
        input_signature=[tf.TensorSpec((), tf.int64)],
        autograph=False,
    ).get_concrete_function()
    return counted(map_by_reader(indexes, function, spec), counters)


def _batch_function(
    batching: Batching,
    grid: Grid,
    attributes: Attributes,
    tensors: Sequence[tf.Tensor],
    specs: Sequence[tf.TensorSpec],
) -> Callable[[Any], list[Any]]:
    """A function that maps an index to the flat tensors of its batch."""
    tf = import_tensorflow()
    ops = load()
    listed = batching.plan.selection.list
    rows = [] if listed is None else [tf.constant(listed)]
    place = memory.share_place(batching.next_place) if batching.run.epochs < 0 else None

    def batch(index: Any) -> list[Any]:
        if place is not None:
            index += grid.stride * tf.maximum(place[0], 0)
        # The op runs on CPUs, whatever device the caller uses.
        with tf.device(None):
            columns = ops.npyfast_batch(index=index, rows=rows, memory=tensors, **attributes)
        # TensorFlow orders the leaves of a dict by key, npyfast in the order of the fields.
        flat: list[Any] = tf.nest.flatten(pack(batching.structure, columns))
        for tensor, spec in zip(flat, specs, strict=True):
            tensor.set_shape(spec.shape)
        return flat

    return batch
