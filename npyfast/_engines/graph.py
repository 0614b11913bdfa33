"""The graph engine: `Dataset.range` mapped over one op of TensorFlow's graph, without Python.

csrc/tensorflow/ has the ops; docs/architecture.md explains the whole.
"""

from __future__ import annotations

import ctypes
import functools
import os
import secrets
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from npyfast._backends import backend
from npyfast._backends.fields import AnyArray
from npyfast._backends.header import Header, header_bytes
from npyfast._batches.batching import Batching
from npyfast._batches.state import digest
from npyfast._engines.tensors import (
    cardinality,
    counted,
    finished,
    import_tensorflow,
    map_by_reader,
    signature,
    tensor_type,
)
from npyfast._nest import leaves, pack
from npyfast._order.blocks import BLOCK_ORDER_VERSION
from npyfast._order.full import ORDER_VERSION

if TYPE_CHECKING:
    import tensorflow as tf

    from npyfast._backends import native

LIBRARY = str(Path(__file__).resolve().parents[1] / "_tensorflow.so")

# Indexes stay below this, or little more.
_INDEX_LIMIT = 1 << 62
# A dataset of so many epochs can be resumed by one of fewer or more, up to that.
_EPOCHS = 1 << 10
# So many numbers there are, at the least, to tell datasets apart.
_TAGS = 1 << 22
# How many indexes there are for each iteration where the number of epochs is open.
_ITERATION_SPAN = 1 << 36
# Seeds of the random numbers that tell iterations apart, which are part of every checkpoint, are
# below this; the order of the rows has nothing to do with them.
_SEEDS = 1 << 60


def obstacle(batching: Batching) -> str | None:
    """Why the graph engine can't deliver these batches, if it can't."""
    if backend().NAME != "native":
        return f"it needs the native backend, and {backend().NAME} is in use"
    if batching.transform is not None:
        return "transform is a Python function"
    if batching.backend is not backend():
        return "a source is read by Python (a compressed or chunked HDF5 dataset; npyfast pack)"
    if any(leaf.storage.kind == "memory" for leaf in batching.leaves):
        return "an array in memory can't be part of a graph"
    tf = import_tensorflow()
    legacy = not (tf.executing_eagerly() or tf.inside_function())
    if legacy and batching.endless_epochs and batching.plan.seed is not None:
        return "a graph of TensorFlow 1 can't count epochs (pass epochs)"
    return None


def _leaves(batching: Batching) -> list[native.NativeLeaf]:
    """The leaves, which the native backend has opened."""
    return cast("list[native.NativeLeaf]", batching.leaves)


def missing() -> str | None:
    """Why the ops can't be had in this process, if they can't."""
    return _load()[1]


@functools.cache
def _load() -> tuple[Any, str | None]:
    """The module of the ops, and why it can't be had."""
    tf = import_tensorflow()
    if not os.path.exists(LIBRARY):
        return None, f"npyfast was installed without {os.path.basename(LIBRARY)}"
    try:
        ops = tf.load_op_library(LIBRARY)
        reason = _library_text("npyfast_tensorflow_error")
    except (tf.errors.OpError, RuntimeError, OSError, AttributeError) as error:
        return None, f"TensorFlow {tf.__version__} can't load {LIBRARY}: {error}"
    if reason:
        return None, f"TensorFlow {tf.__version__} does not take its ops: {reason}"
    with tf.init_scope():
        iterations = _iterations((1, 2)).map(_counter(ops, (1, 2), ""))
        try:
            counted = [int(iteration) for _ in range(3) for iteration in iterations]
        except tf.errors.FailedPreconditionError:
            counted = []
    if counted != [0, 1, 2]:
        return None, f"TensorFlow {tf.__version__} draws random numbers that can't count iterations"
    return ops, None


def load() -> Any:
    """The module of the ops, loaded into this process. Raises ImportError where it can't be had."""
    ops, reason = _load()
    if reason is not None:
        raise ImportError(f"the graph engine can't be had, because {reason}")
    return ops


def _library_text(function: str) -> str:
    """What a function of the library says."""
    text = getattr(ctypes.CDLL(LIBRARY), function)
    text.restype = ctypes.c_char_p
    return str(text().decode())


class _OpCounters:
    """What the ops of one dataset count in this process.

    They find them by `number`, an attribute of theirs, for as long as the object lives, and keep
    them beyond that. It is drawn at random, lest an op that was sent to another process count for
    a dataset of that one.
    """

    def __init__(self) -> None:
        self.number = secrets.randbits(62)
        number = ctypes.c_int64(self.number)
        library = ctypes.CDLL(LIBRARY)
        if not library.npyfast_open_statistics(number):
            raise MemoryError
        weakref.finalize(self, library.npyfast_close_statistics, number).atexit = False

    def counters(self) -> tuple[int, ...]:
        """See npyfast._backends.Counters."""
        values = (ctypes.c_int64 * 8)()
        ctypes.CDLL(LIBRARY).npyfast_read_statistics(ctypes.c_int64(self.number), values)
        return tuple(values)


def _iterations(seeds: tuple[int, int]) -> tf.data.Dataset:
    """Two numbers, other ones at each iteration of the dataset; _counter() counts by them."""
    tf = import_tensorflow()
    # tf.data.Dataset.random() would mix the program's global seed in, which a restart may change.
    variant = tf.raw_ops.RandomDatasetV2(
        seed=seeds[0],
        seed2=seeds[1],
        seed_generator=tf.raw_ops.DummySeedGenerator(),
        rerandomize_each_iteration=True,
        output_types=[tf.int64],
        output_shapes=[()],
    )
    numbers = tf.data.experimental.from_variant(variant, tf.TensorSpec((), tf.int64))
    return numbers.batch(2, drop_remainder=True).take(1)


def _counter(ops: Any, seeds: tuple[int, int], file: str) -> Any:
    """A function of the numbers of an iteration: which iteration it is. Errors name the file."""
    tf = import_tensorflow()
    seed, seed2 = seeds

    def count(numbers: Any) -> Any:
        iteration = ops.npyfast_iteration(
            numbers=numbers, seed=seed, seed2=seed2, file=os.fsencode(file)
        )
        return tf.ensure_shape(iteration, ())

    return tf.autograph.experimental.do_not_convert(count)


def make_dataset(batching: Batching, prefetch: int | None) -> tf.data.Dataset:
    """The batches as a dataset; see npyfast._engines.Engine."""
    indexes, grid = _indexes(batching)
    # The ops' own threads make batches ahead: a prefetch by TensorFlow costs one more change of
    # threads for each batch, and puts what it holds into every checkpoint.
    return finished(_map_batches(indexes, batching, grid), batching, prefetch or 0)


class _Grid(NamedTuple):
    """The indexes of batches: `first`, and from each batch to the next `stride` more.

    The state of an iterator is the index that comes next. Restored into a dataset of another seed
    or batch size it would deliver other rows than the interrupted run was left with, and nobody
    would notice. So `first` is a number that stands for all that decides which rows come: the op
    refuses an index that is none of its grid.
    """

    first: int
    stride: int


def _identity(batching: Batching, size: int) -> int:
    """A number that stands for all that decides which rows a dataset of this worker delivers; not
    for how many epochs, lest it can't go on for more of them."""
    plan, run = batching.plan, batching.run
    place = [plan.shard_index, run.start_epoch, run.start_batch]
    return int.from_bytes(digest({**batching.values, "place": place}, size), "little")


def _grid(batching: Batching, epochs: int) -> _Grid:
    """The grid of a run of so many epochs.

    The indexes of an epoch span the same range whatever the options are, all but less than
    `batches` of it: then each index that one dataset has lies before the end of any other of as
    many epochs, where the op sees it. In the end the ranges of two datasets may differ by
    `epochs * rest`; that `first` is larger makes up for it (in a run of 1,024 epochs, up to two
    million batches an epoch; beyond that, the last batches of a run could pass for its end).
    """
    layout = max(_EPOCHS, 1 << (epochs - 1).bit_length())
    span = _INDEX_LIMIT // layout
    batches = batching.plan.batches
    stride = max(1, span // batches)
    rest = span - stride * batches
    low = max(0, min(layout * rest, stride - _TAGS))
    tags = stride - low
    return _Grid(low + _identity(batching, 16) % tags, stride)


def _indexes(batching: Batching) -> tuple[tf.data.Dataset, _Grid]:
    """The indexes of the batches of an iteration."""
    tf = import_tensorflow()
    data = tf.data.Dataset
    plan, run = batching.plan, batching.run
    count = cardinality(batching)
    if count == 0:
        return data.range(0), _Grid(0, 1)
    if batching.endless_epochs and plan.seed is not None:
        return _iterations_indexes(batching, count)
    if count < 0:
        grid = _Grid(_identity(batching, 16) % _TAGS, _TAGS)
        # Nobody sees its end, and repeat() makes its length infinite.
        return data.range(grid.first, _INDEX_LIMIT, grid.stride).repeat(), grid
    grid = _grid(batching, run.epochs)
    grid = grid._replace(first=grid.first + run.start_batch * grid.stride)
    return data.range(grid.first, grid.first + count * grid.stride, grid.stride), grid


def _iterations_indexes(batching: Batching, count: int) -> tuple[tf.data.Dataset, _Grid]:
    """Of iteration k, those of the batches [k * count, (k + 1) * count)."""
    tf = import_tensorflow()
    data = tf.data.Dataset
    stride = max(1, _ITERATION_SPAN // count)
    grid = _Grid(_identity(batching, 16) % stride, stride)
    # Another dataset counts iterations by other numbers, so that those in its checkpoints are found
    # to be foreign, wherever in an epoch they were taken.
    identity = _identity(batching, 15)
    seeds = (identity % _SEEDS, identity // _SEEDS % _SEEDS)
    counter = _counter(load(), seeds, os.fsdecode(_leaves(batching)[0].array.first_path))

    def epoch(numbers: Any) -> Any:
        first = grid.first + counter(numbers) * count * stride
        return data.range(first, first + count * stride, stride)

    each = _iterations(seeds).flat_map(tf.autograph.experimental.do_not_convert(epoch))
    # An iterator draws its numbers when it is made. Keras makes some that it never reads, which
    # are not to cost an epoch: those of a dataset within a function are made when it is read.
    made = data.range(1).flat_map(tf.autograph.experimental.do_not_convert(lambda _: each))
    return made.apply(tf.data.experimental.assert_cardinality(count)), grid


def _map_batches(indexes: tf.data.Dataset, batching: Batching, grid: _Grid) -> tf.data.Dataset:
    """The dataset of the batches that indexes stand for."""
    tf = import_tensorflow()
    ops = load()
    counters = _OpCounters()
    attributes = {**_attributes(batching, grid), "statistics": counters.number}
    listed = batching.plan.selection.list
    spec = signature(batching)
    flat_specs = tf.nest.flatten(spec)
    rows = [] if listed is None else [tf.constant(listed)]

    def batch(index: Any) -> Any:
        # The op is for CPUs, whatever device the caller works on.
        with tf.device(None):
            columns = ops.npyfast_batch(index=index, rows=rows, **attributes)
        # TensorFlow has the leaves of a dict in the order of the keys, we in that of the fields.
        flat = tf.nest.flatten(pack(batching.structure, columns))
        for tensor, leaf in zip(flat, flat_specs, strict=True):
            tensor.set_shape(leaf.shape)
        return flat

    function = tf.function(
        batch, input_signature=[tf.TensorSpec((), tf.int64)], autograph=False
    ).get_concrete_function()
    made = map_by_reader(indexes, function, spec)
    return counted(made, counters)


def _attributes(batching: Batching, grid: _Grid) -> dict[str, Any]:
    """The attributes of NpyfastBatch; csrc/tensorflow/batch_op.cc lists them."""
    from npyfast._core import encode_arrays  # which the graph engine alone is sure to have

    plan, run, selection = batching.plan, batching.run, batching.plan.selection
    columns = list(leaves(batching.structure))
    opened = _leaves(batching)
    return {
        **encode_arrays([leaf.array for leaf in opened]),
        "machine": _library_text("npyfast_machine_id"),
        "casts": [_npy(np.empty(0, leaf.dtype)) if leaf.cast else b"" for leaf in opened],
        "scales": [_npy(leaf.cast.scale if leaf.cast else None) for leaf in opened],
        "shifts": [_npy(leaf.cast.shift if leaf.cast else None) for leaf in opened],
        "types": [tensor_type(column.dtype, column.name) for column in columns],
        "texts": [column.dtype.kind if column.dtype.kind in "SU" else "" for column in columns],
        "ranks": [len(column.shape) for column in columns],
        "dims": [size for column in columns for size in column.shape],
        "selection": [selection.start, selection.step, selection.size],
        "selection_order": [_signed(number) for number in selection.order or ()],
        "batch_size": plan.batch_size,
        "shuffle": plan.seed is not None,
        "seed": _signed(plan.seed or 0),
        "block_rows": plan.blocks.block_rows if plan.blocks else 0,
        "window_rows": plan.blocks.window_rows if plan.blocks else 0,
        "shard_index": plan.shard_index,
        "shard_count": plan.shard_count,
        "drop_remainder": plan.drop_remainder,
        "start_epoch": run.start_epoch,
        "start_batch": run.start_batch,
        # With epochs=None indexes go on from one iteration to the next, without an end.
        "epochs": -1 if batching.endless_epochs else run.epochs,
        "single_passes": batching.endless_epochs,
        "first": grid.first,
        "stride": grid.stride,
        "order_version": ORDER_VERSION,
        "block_order_version": BLOCK_ORDER_VERSION,
        "threads": batching.threads or 0,
        "readahead": batching.readahead,
    }


def _npy(array: AnyArray | None) -> bytes:
    """An array as a .npy file, or nothing."""
    if array is None:
        return b""
    return header_bytes(Header((3, 0), array.shape, array.dtype, False, 0)) + array.tobytes()


def _signed(number: int) -> int:
    """The 64 bits of an unsigned number, as the attribute of an op can hold them."""
    return number - (1 << 64) if number >= 1 << 63 else number
