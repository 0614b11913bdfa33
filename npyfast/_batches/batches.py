"""`npyfast.batches`: NumPy arrays, without TensorFlow."""

from __future__ import annotations

import weakref

from npyfast._batches.batching import Batching, make_batching
from npyfast._batches.iterator import BatchIterator, Passes
from npyfast._batches.options import Options, RowChoice, Shard
from npyfast._batches.statistics import Statistics, of_counters
from npyfast._batches.transform import Transform
from npyfast._nest import Nest, map_nest
from npyfast._options import Readahead
from npyfast._order.shuffle import Shuffle


class Batches:
    """An iterable of batches; made by `npyfast.batches`.

    The k-th iteration of it is epoch `start_epoch + k`; with an explicit `epochs`, each iteration
    is the same. `len()` is the number of batches of one iteration. An iterator is a
    `BatchIterator`: it knows its place, which can be saved and restored.
    """

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self._passes = Passes(
            batching.plan, batching.run, batching.endless_epochs, lambda: batching.values
        )
        # An iterator that the caller lets go of must not live on here, threads and all.
        self._iterators: weakref.WeakSet[BatchIterator] = weakref.WeakSet()
        self._closed = False

    def __iter__(self) -> BatchIterator:
        if self._closed:
            raise ValueError("the batches were closed")
        run = self._batching.run_of(self._passes.iterations)
        iterator = self._batching.iterator(self._passes, run)
        self._iterators.add(iterator)
        self._passes.iterations += 1  # last: one that is interrupted has not begun
        return iterator

    def close(self) -> None:
        """Ends all iterators, and with them what is read and made ahead. There will be no others:
        iterating again raises ValueError."""
        self._closed = True
        for iterator in list(self._iterators):
            iterator.close()

    def __len__(self) -> int:
        """Batches of one iteration. Raises TypeError for an endless one."""
        count = self._batching.run.batches(self._batching.plan)
        if count < 0:
            raise TypeError("batches with epochs=-1 are endless: they have no len()")
        return count

    @property
    def statistics(self) -> Statistics:
        """What all iterations together have delivered up to now, and how long they waited for it;
        the same as `npyfast.statistics` gives."""
        return of_counters(self._batching.statistics.counters())

    @property
    def seed(self) -> int | None:
        """The seed of the order, drawn if none was given; None without shuffling."""
        return self._batching.plan.seed

    def __repr__(self) -> str:
        plan = self._batching.plan
        unshuffled = "in file order" if plan.selection.order is None else "in the split's order"
        shuffled = unshuffled if plan.seed is None else f"shuffled with seed {plan.seed}"
        if plan.blocks is not None:
            shuffled += (
                f" in blocks of {plan.blocks.block_rows:,} and windows of "
                f"{plan.blocks.window_rows:,} rows"
            )
        passes = "endless passes of " if self._batching.run.epochs < 0 else ""
        if self._batching.run.epochs > 1:
            passes = f"{self._batching.run.epochs} passes of "
        worker = ""
        if plan.shard_count > 1:
            worker = f", worker {plan.shard_index} of {plan.shard_count}"
        elements = map_nest(
            lambda column: f"{column.dtype}{list(column.shape)}", self._batching.structure
        )
        return (
            f"<npyfast.Batches: {passes}{plan.batches:,} batches of {plan.batch_size} of "
            f"{plan.selection.size:,} rows, {shuffled}{worker}; each row {elements}>"
        )


def batches(
    source: Nest,
    batch_size: int = 32,
    shuffle: Shuffle = False,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    drop_remainder: bool = False,
    shard: Shard = None,
    rows: RowChoice = None,
    transform: Transform | None = None,
    transform_threads: int = 1,
    start_epoch: int = 0,
    start_batch: int = 0,
    threads: int | None = None,
    readahead: Readahead = "auto",
) -> Batches:
    """Batches of rows as NumPy arrays: `npyfast.dataset` without TensorFlow.

    Args:
        source: a leaf, or a nest (tuples and dicts) of leaves with the same number of rows. A leaf
            is a path, a glob pattern, a directory, a list of paths, an array in memory, or what
            `npyfast.source` returns; several files are the shards of one array. The path of `.npz`
            or HDF5 files stands for a dict of their arrays.
        batch_size: rows of a batch.
        shuffle: False for the order of the files; True for a full, uniform shuffle, another one
            each epoch. "block": blocks of consecutive rows come in random order, and rows are mixed
            within windows of many blocks, another way each epoch. It is for rows much smaller than
            a page (4 KiB) of data much larger than memory, where a full shuffle reads a page for
            each row: this reads at some 80 % of the sequential speed. (With `shard`, each worker
            reads nearly all blocks.) `BlockShuffle` has the sizes, and lets you choose them.
        seed: makes the order the same on every run and machine, an int in [0, 2**64); None draws
            one (`Batches.seed` tells it).
        epochs: None: one pass for each iteration, and the k-th iteration of the object is epoch
            `start_epoch + k`. n: n passes in one iteration; -1: endless.
        drop_remainder: whether to leave out the last batch of an epoch if it is short.
        shard: (index, count) of this worker, or a `tf.distribute.InputContext`. A global batch has
            count * batch_size rows, of which this worker gets the index-th part; the global order
            does not depend on count. Every worker has the same number of batches; the parts of a
            last, short one are as even as they can be, and may be empty.
        rows: which rows take part: a slice, an integer array of row numbers, a boolean mask, or a
            part that `npyfast.split` makes.
        transform: a function of one element (the same nest of arrays); what it returns is yielded
            in its place, without a copy: it must be new each time. What it raises is raised in its
            place.
        transform_threads: how many threads run the function, each on another element; results come
            in order nevertheless. 1: the reader runs it, when it asks for the element. More: up to
            two elements for each thread are made ahead of the reader; the function must then bear
            to be called by several threads at once. It is worth it where a call takes half a
            millisecond or more outside of Python, as of NumPy, OpenCV and decoders, which let go
            of the GIL; shorter ones get slower.
        start_epoch, start_batch: where to begin; `start_batch` goes with an explicit `epochs`.
        threads: how many make batches at once, the reader's among them; by default the CPUs that
            this process may use.
        readahead: what is read before it is needed. "whole": the files, once, in the background;
            "rows": the rows of the coming batches; "off": nothing, but what the kernel reads by
            itself; "auto": as a whole what fits in the memory that this process may use, and the
            rest by rows. Never changes results.

    Returns:
        `Batches`: iterable, with `len()`, `close()` and `statistics`; its iterators have
        `position`, `get_state()` and `set_state()`. Each element has the nest of
        `source`, each array the shape `(batch, *row_shape)`, in native byte order. A structured
        dtype gives a dict of its fields. The arrays are the caller's to keep and to write.

    Raises:
        NpyFormatError: a file is not a readable `.npy`.
        TypeError: a dtype holds Python objects; a leaf is none.
        ValueError: an option's value; shards or leaves that do not fit together.
        IndexError: a row number of `rows` is out of range.
        OSError: as `open` raises it.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.arange(10)); np.save("y.npy", np.arange(10) % 2)
        >>> for x, y in npyfast.batches(("X.npy", "y.npy"), batch_size=4):
        ...     print(x, y)
        [0 1 2 3] [0 1 0 1]
        [4 5 6 7] [0 1 0 1]
        [8 9] [0 1]
    """
    return Batches(
        make_batching(
            source,
            Options(
                batch_size=batch_size,
                shuffle=shuffle,
                seed=seed,
                epochs=epochs,
                drop_remainder=drop_remainder,
                shard=shard,
                rows=rows,
                transform=transform,
                transform_threads=transform_threads,
                start_epoch=start_epoch,
                start_batch=start_batch,
                threads=threads,
                readahead=readahead,
            ),
        )
    )
