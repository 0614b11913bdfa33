"""The indexes of batches in a dataset of the graph engine, which its checkpoints hold.

The state of an iterator is the index that comes next. Restored into a dataset with another seed or
batch size, it would mean other rows than those that the interrupted run had left, without an error.
So indexes are derived from a digest of everything that determines which rows come, and the op
refuses an index that is not the dataset's own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from npyfast._batches.batching import Batching
from npyfast._batches.state import digest
from npyfast._engines import iteration_count, memory
from npyfast._engines.op_library import load
from npyfast._engines.tensors import cardinality, import_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

    from npyfast._backends.native import NativeLeaf

# Indexes stay below this, or exceed it slightly.
_INDEX_LIMIT = 1 << 62
# A dataset of up to this many epochs can be resumed with another number of epochs up to this.
_EPOCHS = 1 << 10
# At least this many different values of `first` tell datasets apart.
_TAGS = 1 << 22
# Indexes of each iteration if the number of epochs is open.
_ITERATION_SPAN = 1 << 36
# The seeds of the numbers that count iterations are below this. They are part of every checkpoint,
# and have nothing to do with the order of the rows.
_SEEDS = 1 << 60


class Grid(NamedTuple):
    """The indexes of the batches: `first + stride * batch`."""

    first: int
    stride: int


def make_indexes(batching: Batching) -> tuple[tf.data.Dataset, Grid]:
    """A dataset of the indexes of an iteration's batches."""
    tf = import_tensorflow()
    plan, run = batching.plan, batching.run
    count = cardinality(batching)
    if count == 0:
        return tf.data.Dataset.range(0), Grid(0, 1)
    if batching.endless_epochs and plan.seed is not None:
        return _counted_iterations(batching, count)
    if count < 0:
        grid = Grid(_identity(batching, 16) % _TAGS, _TAGS)
        # Nobody reaches the end; repeat() makes the cardinality infinite.
        return tf.data.Dataset.range(grid.first, _INDEX_LIMIT, grid.stride).repeat(), grid
    grid = _grid(batching, run.epochs)
    grid = grid._replace(first=grid.first + run.start_batch * grid.stride)
    end = grid.first + count * grid.stride
    return tf.data.Dataset.range(grid.first, end, grid.stride), grid


def _identity(batching: Batching, size: int) -> int:
    """A digest of what determines which rows this worker's dataset delivers, as a number. The
    number of epochs is left out, so that training can be resumed for more of them."""
    plan, run = batching.plan, batching.run
    place = [plan.shard_index, run.start_epoch, run.start_batch]
    return int.from_bytes(digest({**batching.values, "place": place}, size), "little")


def _grid(batching: Batching, epochs: int) -> Grid:
    """The grid of a run of so many epochs.

    The indexes of an epoch span the same range whatever the options are, except for a rest of less
    than `batches`. So each index of one dataset lies before the end of any other dataset with as
    many epochs, where the op sees it. The ends of two datasets may differ by `epochs * rest`; a
    larger `first` compensates for that, up to two million batches an epoch in a run of 1,024
    epochs. Beyond that, the last batches of a run could be taken for its end.
    """
    layout = max(_EPOCHS, 1 << (epochs - 1).bit_length())
    span = _INDEX_LIMIT // layout
    batches = batching.plan.batches
    stride = max(1, span // batches)
    rest = span - stride * batches
    low = max(0, min(layout * rest, stride - _TAGS))
    tags = stride - low
    return Grid(low + _identity(batching, 16) % tags, stride)


def _counted_iterations(batching: Batching, count: int) -> tuple[tf.data.Dataset, Grid]:
    """In iteration k, the indexes of the batches [k * count, (k + 1) * count); in one that is told
    where to begin, those from there to the end of the epoch."""
    tf = import_tensorflow()
    data = tf.data.Dataset
    stride = max(1, _ITERATION_SPAN // count)
    grid = Grid(_identity(batching, 16) % stride, stride)
    # Each dataset counts iterations by numbers of its own, so that the op recognizes those in a
    # checkpoint of another dataset, wherever in an epoch it was taken.
    identity = _identity(batching, 15)
    seeds = (identity % _SEEDS, identity // _SEEDS % _SEEDS)
    first_leaf = cast("NativeLeaf", batching.leaves[0])
    counter = iteration_count.counter(load(), seeds, os.fsdecode(first_leaf.array.name))

    def epoch(numbers: Any, place: Any) -> Any:
        first = tf.where(place < 0, counter(numbers) * count, place)
        end = (first // count + 1) * count
        return data.range(grid.first + first * stride, grid.first + end * stride, stride)

    starts = data.zip((iteration_count.numbers(seeds), _place(batching)))
    each = starts.flat_map(tf.autograph.experimental.do_not_convert(epoch))
    # An iterator draws its numbers when it is made. Keras makes iterators that it never reads, and
    # these must not cost an epoch; a dataset within a function is only iterated when it is read.
    made = data.range(1).flat_map(tf.autograph.experimental.do_not_convert(lambda _: each))
    return made.apply(tf.data.experimental.assert_cardinality(count)), grid


def _place(batching: Batching) -> tf.data.Dataset:
    """A dataset of one element: where the iteration is told to begin, or -1."""
    tf = import_tensorflow()
    shared = memory.share_place(batching.next_place)
    place = tf.data.Dataset.from_tensors(shared)  # which reads it when the iteration begins
    # A number of its own: the iteration's checkpoints contain it, and the shared one changes.
    copied = tf.autograph.experimental.do_not_convert(lambda shared: tf.maximum(shared[0], -1))
    return place.map(copied)
