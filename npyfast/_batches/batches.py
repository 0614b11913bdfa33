"""`npyfast.batches`: NumPy arrays, without TensorFlow."""

from __future__ import annotations

import functools
import math
import weakref
from dataclasses import dataclass, replace
from typing import Any

from npyfast._backends import backend_for
from npyfast._backends.fields import columns
from npyfast._backends.file_status import RegularChecks
from npyfast._backends.interface import Backend, Counters, OpenedLeaf, Stream
from npyfast._batches.iterator import BatchIterator, Passes, StreamIterator
from npyfast._batches.state import Values, described
from npyfast._batches.statistics import Statistics, of_counters
from npyfast._batches.transform import (
    DeliveredCounters,
    Transform,
    Transformed,
    TransformedByThreads,
)
from npyfast._memory import memory_limit
from npyfast._nest import Nest, map_nest, packer
from npyfast._options import Readahead, integer, make_readahead, make_threads
from npyfast._order.plan import Plan, Run, make_plan, make_run
from npyfast._order.shuffle import (
    BlockShuffle,
    Shuffle,
    block_sizes,
    check_not_reduced,
    check_shuffle,
)
from npyfast._sources.open import open_nest


@dataclass(frozen=True)
class Batching:
    """What `dataset` and `batches` have in common: opened leaves, and the plan of their batches."""

    leaves: list[OpenedLeaf]
    backend: Backend  # that makes batches of them
    structure: Nest  # of the elements, with a Column for each array
    plan: Plan
    run: Run  # of the first iteration
    endless_epochs: bool  # whether each iteration is the next epoch (epochs=None)
    threads: int | None
    readahead: Readahead
    transform: Transform | None
    transform_threads: int
    statistics: Counters  # of all streams

    def run_of(self, iteration: int) -> Run:
        """The passes of the k-th iteration."""
        if not self.endless_epochs:
            return self.run
        return replace(self.run, start_epoch=self.run.start_epoch + iteration)

    def stream(self, run: Run, *, group: int = 1, transformed: bool = True) -> Stream:
        """The elements of one iteration."""
        counters = self.statistics
        if self.transform is None or not transformed:
            untouched: Stream = self._stream(run, group, counters)
            return untouched
        if not isinstance(counters, DeliveredCounters):
            return Transformed(self._stream(run, group, counters), self.transform)
        taken = counters.taken

        def begin(position: int) -> Stream:
            made: Stream = self._stream(run.after(self.plan, position), group, taken)
            return made

        check = RegularChecks(self._check_files)
        return TransformedByThreads(begin, self.transform, self.transform_threads, counters, check)

    def _check_files(self) -> None:
        for leaf in self.leaves:
            leaf.check_files()

    def iterator(self, passes: Passes, run: Run) -> BatchIterator:
        """An iterator over the elements of one iteration, for users."""
        kind = self.backend.ITERATOR
        if kind is None or self.transform is not None:
            return StreamIterator(passes, self.stream, run)
        made: BatchIterator = self._stream(run, 1, self.statistics, kind=kind)
        made._passes = passes
        return made

    @functools.cached_property
    def values(self) -> Values:
        """All that decides which rows come where."""
        return described(self.plan, self.leaves)

    def _stream(self, run: Run, group: int, counters: Counters, **kind: Any) -> Any:
        return self.backend.stream(
            self.leaves,
            self.plan,
            run,
            group=group,
            threads=self.threads,
            readahead=self.readahead,
            statistics=counters,
            pack=packer(self.structure),
            **kind,
        )


def make_batching(
    source: Nest,
    batch_size: Any,
    shuffle: Any,
    *,
    seed: Any,
    epochs: Any,
    drop_remainder: Any,
    shard: Any,
    rows: Any,
    transform: Any,
    start_epoch: Any,
    start_batch: Any,
    threads: Any,
    readahead: Any,
    transform_threads: Any = 1,
) -> Batching:
    """Checks every option, opens every leaf."""
    workers = make_threads(threads)
    ahead = make_readahead(readahead)
    if transform is not None and not callable(transform):
        raise ValueError(f"transform must be None or a function, got {transform!r}")
    transformers = integer("transform_threads", transform_threads, 1, 2**15)
    if transformers > 1 and transform is None:
        raise ValueError(
            f"transform_threads={transform_threads} needs a transform; npyfast's own threads are "
            "the option threads"
        )
    shuffle = check_shuffle(shuffle)
    opened, flat, names = open_nest(source)
    naming = iter(names)
    blocks = None
    if isinstance(shuffle, BlockShuffle):
        row_bytes = sum(map(_row_bytes, flat))
        blocks = block_sizes(shuffle, row_bytes, memory_limit())
        if shard is not None or start_epoch or start_batch:
            check_not_reduced(shuffle, row_bytes, blocks)
    plan = make_plan(
        len(flat[0]),
        batch_size=batch_size,
        shuffle=bool(shuffle),
        seed=seed,
        drop_remainder=drop_remainder,
        shard=shard,
        rows=rows,
        blocks=blocks,
    )
    made_by = backend_for(flat)
    counters = made_by.statistics()
    return Batching(
        leaves=flat,
        backend=made_by,
        structure=map_nest(lambda leaf: columns(leaf.dtype, leaf.row_shape, next(naming)), opened),
        plan=plan,
        run=make_run(plan, epochs=epochs, start_epoch=start_epoch, start_batch=start_batch),
        endless_epochs=epochs is None,
        threads=workers,
        readahead=ahead,
        transform=transform,
        transform_threads=transformers,
        statistics=counters if transformers == 1 else DeliveredCounters(counters),
    )


def _row_bytes(leaf: OpenedLeaf) -> int:
    return math.prod(leaf.row_shape) * leaf.dtype.itemsize


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
    shard: Any = None,
    rows: Any = None,
    transform: Transform | None = None,
    transform_threads: int = 1,
    start_epoch: int = 0,
    start_batch: int = 0,
    threads: int | None = None,
    readahead: str = "auto",
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
            batch_size,
            shuffle,
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
        )
    )
