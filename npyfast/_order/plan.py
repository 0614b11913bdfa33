"""The plan of an epoch: which rows make up batch b. The specification, in NumPy."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from npyfast._errors import shown
from npyfast._options import boolean, integer, make_batch_size
from npyfast._order.blocks import BlockSizes, block_order
from npyfast._order.full import order
from npyfast._order.selection import RowChoice, RowNumbers, Selection, make_selection


@dataclass(frozen=True)
class Plan:
    """Which rows make up each batch of each epoch, for one worker of `shard_count`.

    With G = shard_count * batch_size, global batch b consists of the positions
    [b * G, (b + 1) * G) of the epoch's order, and worker i gets the i-th batch_size of them. A
    last, short global batch of r positions is divided as evenly as possible: worker i gets the
    positions [r * i // shard_count, r * (i + 1) // shard_count) of it.
    """

    selection: Selection
    batch_size: int
    seed: int | None  # None: no shuffling
    shard_index: int
    shard_count: int
    drop_remainder: bool
    blocks: BlockSizes | None = None  # None: a full shuffle

    @property
    def _global_batch(self) -> int:
        return self.batch_size * self.shard_count

    @property
    def full_batches(self) -> int:
        """Batches of batch_size rows in one epoch; at most one more follows."""
        return self.selection.size // self._global_batch

    @property
    def batches(self) -> int:
        """Batches in one epoch, the same for every worker."""
        short = self.selection.size % self._global_batch > 0 and not self.drop_remainder
        return self.full_batches + short

    def _positions(self, batch: int) -> tuple[int, int]:
        first = batch * self._global_batch
        if batch < self.full_batches:
            first += self.shard_index * self.batch_size
            return first, first + self.batch_size
        rest = self.selection.size - first
        return (
            first + rest * self.shard_index // self.shard_count,
            first + rest * (self.shard_index + 1) // self.shard_count,
        )

    def batch_rows(self, batch: int) -> int:
        """The number of rows of a batch."""
        first, last = self._positions(batch)
        return last - first

    def rows(self, epoch: int, batch: int, batches: int = 1) -> RowNumbers:
        """The row numbers of a batch, or of several consecutive ones."""
        parts = [np.arange(*self._positions(batch + i), dtype=np.int64) for i in range(batches)]
        positions = np.concatenate(parts)
        if self.seed is not None:
            unsigned = positions.astype(np.uint64)
            size = self.selection.size
            if self.blocks is None:
                positions = order(size, self.seed, epoch, unsigned)
            else:
                positions = block_order(size, self.seed, epoch, self.blocks, unsigned)
        return self.selection.rows(positions)


@dataclass(frozen=True)
class Run:
    """The passes of one iteration: `epochs` of them (-1: endless), from `start_epoch` on. The first
    begins at batch `start_batch`."""

    start_epoch: int = 0
    start_batch: int = 0
    epochs: int = 1

    def batches(self, plan: Plan) -> int:
        """The number of batches of the run; -1: endless."""
        if plan.batches == 0:
            return 0
        return -1 if self.epochs < 0 else self.epochs * plan.batches - self.start_batch

    def place(self, plan: Plan, position: int) -> tuple[int, int]:
        """The epoch and batch that follow `position` batches."""
        if plan.batches == 0:
            return self.start_epoch, 0
        epochs, batch = divmod(self.start_batch + position, plan.batches)
        return self.start_epoch + epochs, batch

    def after(self, plan: Plan, position: int) -> Run:
        """The rest of the run after `position` batches."""
        epoch, batch = self.place(plan, position)
        left = self.epochs if self.epochs < 0 else self.epochs - (epoch - self.start_epoch)
        return Run(epoch, batch, left)


class InputContext(Protocol):
    """A tf.distribute.InputContext, without importing TensorFlow."""

    @property
    def input_pipeline_id(self) -> int: ...

    @property
    def num_input_pipelines(self) -> int: ...


Shard = tuple[int, int] | InputContext | None  # (index, count) of a worker


def make_shard(shard: Shard) -> tuple[int, int]:
    """The option `shard` as (index, count)."""
    if shard is None:
        return 0, 1
    if not isinstance(shard, tuple) and hasattr(shard, "input_pipeline_id"):
        shard = (shard.input_pipeline_id, shard.num_input_pipelines)
    if not isinstance(shard, tuple) or len(shard) != 2:
        raise ValueError(
            f"shard must be (index, count) or a tf.distribute.InputContext, got {shown(shard)}"
        )
    count = integer("the count of shard", shard[1], 1, 2**31)
    return integer("the index of shard", shard[0], 0, count), count


def make_plan(
    count: int,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int | None,
    drop_remainder: bool,
    shard: Shard,
    rows: RowChoice,
    blocks: BlockSizes | None = None,
) -> Plan:
    """Checks options of `dataset` and `batches`, and makes the plan for an array of `count`
    rows."""
    if seed is not None:
        seed = integer("seed", seed, 0, 2**64)
    elif shuffle:
        seed = secrets.randbits(64)
    index, shards = make_shard(shard)
    selection = make_selection(rows, count)
    if blocks is not None and selection.order is not None:
        raise ValueError(
            "shuffle='block' reads blocks of consecutive rows, and the rows of a part that "
            "npyfast.split made lie anywhere in the files: pass shuffle=True, or split by slices, "
            "such as rows=slice(0, n) and rows=slice(n, None)"
        )
    return Plan(
        selection=selection,
        batch_size=make_batch_size(batch_size),
        seed=seed if shuffle else None,
        shard_index=index,
        shard_count=shards,
        drop_remainder=boolean("drop_remainder", drop_remainder),
        blocks=blocks,
    )


def make_run(plan: Plan, *, epochs: int | None, start_epoch: int, start_batch: int) -> Run:
    """Checks options of `dataset` and `batches`, and makes the run of the first iteration."""
    first = integer("start_epoch", start_epoch, 0, 2**62)
    batch = integer("start_batch", start_batch, 0)
    if epochs is None:
        if batch:
            raise ValueError(
                f"start_batch={batch} needs an explicit epochs: with epochs=None every iteration "
                "is one pass, and the passes would differ in length"
            )
        return Run(first)
    if not (isinstance(epochs, (int, np.integer)) and epochs == -1):
        try:
            epochs = integer("epochs", epochs, 1, 2**31)
        except ValueError:
            raise ValueError(
                f"epochs must be None, -1 (endless) or an int of at least 1, got {shown(epochs)}"
            ) from None
    if batch > plan.batches:
        raise ValueError(f"start_batch={batch} is beyond the {plan.batches} batches of an epoch")
    return Run(first, batch, int(epochs))
