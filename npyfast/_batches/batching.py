"""Turns a source and options into batches, for `dataset` and `batches`."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import Any

from npyfast._backends import backend_for
from npyfast._backends.fields import AnyArray, columns, split
from npyfast._backends.file_status import RegularChecks
from npyfast._backends.interface import Backend, Counters, OpenedLeaf, Stream
from npyfast._batches.delivered_counters import DeliveredCounters, TransformCounters
from npyfast._batches.iterator import BatchIterator, Iterations, StreamIterator
from npyfast._batches.next_place import NextPlace
from npyfast._batches.options import Options
from npyfast._batches.state import Values, described
from npyfast._batches.threaded_transform import TransformedByThreads
from npyfast._batches.transform import Transform, Transformed, as_it_is
from npyfast._memory import memory_limit
from npyfast._nest import Nest, leaves, map_nest, packer
from npyfast._options import Readahead, make_threads
from npyfast._order.blocks import BlockSizes
from npyfast._order.plan import Plan, Run, make_plan, make_run
from npyfast._order.selection import RowNumbers
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
    """Opened leaves, and the plan of their batches."""

    leaves: list[OpenedLeaf]
    names: list[str]  # of the leaves, for people
    backend: Backend  # makes the batches
    structure: Nest  # the nest of an element, with a Column for each array
    plan: Plan
    run: Run  # of the first iteration
    has_seed: bool  # of the user, or needs none: another process makes the same batches
    endless_epochs: bool  # whether each iteration is the next epoch (epochs=None)
    threads: int | None
    readahead: Readahead
    transform: Transform | None
    transform_threads: int
    counters: Counters  # of all streams
    next_place: NextPlace = field(default_factory=NextPlace, compare=False)

    def run_of(self, iteration: int) -> Run:
        """The run of the k-th iteration, or of the next one if it is told where to begin."""
        position = self.next_place.get()
        if position is not None:
            epoch, batch = divmod(position, self.plan.batches)
            return replace(self.run, start_epoch=epoch, start_batch=batch)
        if not self.endless_epochs:
            return self.run
        return replace(self.run, start_epoch=self.run.start_epoch + iteration)

    def stream(self, run: Run, *, group: int = 1, transformed: bool = True) -> Stream:
        """The elements of one iteration."""
        counters = self.counters
        if self.made_ahead:
            return self._ahead(run, as_it_is, 1)
        if self.transform is None or not transformed:
            untouched: Stream = self._stream(run, group, counters)
            return untouched
        if isinstance(counters, TransformCounters):
            stream = self._stream(run, group, counters.taken)
            return Transformed(stream, self.transform, counters)
        return self._ahead(run, self.transform, self.transform_threads)

    def at_once(self, rows: RowNumbers) -> list[AnyArray]:
        """The columns of these rows, copied by the caller."""
        taken = tuple(split(leaf.take(rows, self.threads)) for leaf in self.leaves)
        return list(leaves(taken))

    @property
    def made_ahead(self) -> bool:
        """Whether a thread asks objects of other packages for the rows, before a reader does."""
        return self.transform is None and isinstance(self.counters, DeliveredCounters)

    def _ahead(self, run: Run, transform: Transform, threads: int) -> Stream:
        """The elements of one iteration, made by threads."""
        counters = self.counters
        assert isinstance(counters, DeliveredCounters)

        def begin(position: int) -> Stream:
            made: Stream = self._stream(run.after(self.plan, position), 1, counters.taken)
            return made

        check = RegularChecks(self._check_files)
        return TransformedByThreads(begin, transform, threads, counters, check)

    def _check_files(self) -> None:
        for leaf in self.leaves:
            leaf.check_files()

    def iterator(self, iterations: Iterations, run: Run) -> BatchIterator:
        """An iterator over the elements of one iteration, for users."""
        if self.transform is not None or not self.backend.NATIVE_STREAMS:
            return StreamIterator(iterations, self.stream, run)
        from npyfast._batches.native_iterator import NativeIterator

        made: BatchIterator = self._stream(run, 1, self.counters, kind=NativeIterator)
        made._iterations = iterations
        return made

    @functools.cached_property
    def values(self) -> Values:
        """Everything that determines which rows come where."""
        return described(self.plan, self.leaves)

    def _stream(self, run: Run, group: int, counters: Counters, **kind: Any) -> Any:
        return self.backend.stream(
            self.leaves,
            self.plan,
            run,
            group=group,
            threads=self.threads,
            readahead=self.readahead,
            counters=counters,
            pack=packer(self.structure),
            **kind,
        )


def make_batching(source: Nest, options: Options) -> Batching:
    """Opens every leaf, and checks the options against their rows."""
    shuffle = check_shuffle(options.shuffle)
    opened, flat, names = open_nest(source)
    naming = iter(names)
    blocks = _blocks(shuffle, options, flat)
    for leaf in flat:
        if blocks is not None and leaf.storage.kind == "python" and leaf.storage.chunk_rows:
            leaf.keep_chunks(*blocks)  # type: ignore[attr-defined]
    plan = make_plan(
        len(flat[0]),
        batch_size=options.batch_size,
        shuffle=bool(shuffle),
        seed=options.seed,
        drop_remainder=options.drop_remainder,
        shard=options.shard,
        rows=options.rows,
        blocks=blocks,
    )
    made_by = backend_for(flat)
    return Batching(
        leaves=flat,
        names=names,
        backend=made_by,
        structure=map_nest(lambda leaf: columns(leaf.dtype, leaf.row_shape, next(naming)), opened),
        plan=plan,
        run=make_run(
            plan,
            epochs=options.epochs,
            start_epoch=options.start_epoch,
            start_batch=options.start_batch,
        ),
        has_seed=options.seed is not None or not shuffle,
        endless_epochs=options.epochs is None,
        threads=make_threads(options.threads),
        readahead=options.readahead,
        transform=options.transform,
        transform_threads=options.transform_threads,
        counters=_counters(flat, options, made_by.make_counters()),
    )


def _counters(leaves: list[OpenedLeaf], options: Options, taken: Counters) -> Counters:
    """The counters of what is delivered; `taken` are those of the backend's streams."""
    if options.transform_threads > 1:
        return DeliveredCounters(taken)
    if options.transform is not None:
        return TransformCounters(taken)
    by_python = any(leaf.storage.kind == "python" for leaf in leaves)
    return DeliveredCounters(taken) if by_python else taken


def _blocks(
    shuffle: bool | BlockShuffle, options: Options, leaves: list[OpenedLeaf]
) -> BlockSizes | None:
    """The sizes of the blocks; None without block shuffling."""
    if not isinstance(shuffle, BlockShuffle):
        return None
    row_bytes, chunk_rows = _read_together(leaves)
    blocks = block_sizes(shuffle, row_bytes, memory_limit(), chunk_rows)
    if options.shard is not None or options.start_epoch or options.start_batch:
        check_blocks(shuffle, blocks, leaves)
    return blocks


def check_blocks(shuffle: Shuffle, blocks: BlockSizes, leaves: list[OpenedLeaf]) -> None:
    """Raises ValueError if little memory has reduced the sizes of blocks, which then differ from
    those of other processes."""
    given = check_shuffle(shuffle)
    assert isinstance(given, BlockShuffle)
    check_not_reduced(given, *_read_together(leaves), blocks)


def _read_together(leaves: list[OpenedLeaf]) -> tuple[int, int]:
    """The bytes of a row of all leaves, and how many rows are always read together."""
    row_bytes = sum(map(_row_bytes, leaves))
    chunks = [leaf.storage.chunk_rows for leaf in leaves if leaf.storage.kind == "python"]
    return row_bytes, max((rows for rows in chunks if rows is not None), default=1)


def _row_bytes(leaf: OpenedLeaf) -> int:
    return math.prod(leaf.row_shape) * leaf.dtype.itemsize
