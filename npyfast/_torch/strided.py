"""Every n-th batch of a run: what one of n workers of a DataLoader makes.

A DataLoader takes batches from its workers in turn. If worker w makes the batches w, w + n, ... of
the run, they come out in the order of the run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from npyfast._backends.interface import Stream
from npyfast._batches.batching import Batching
from npyfast._batches.delivered_counters import TransformCounters
from npyfast._batches.transform import Transform, Transformed, apply
from npyfast._nest import pack
from npyfast._order.plan import Run


def converted(batching: Batching, run: Run, convert: Transform) -> Stream:
    """The elements of a run, each passed through a function that is not counted as a transform."""
    return Transformed(batching.stream(run), convert, TransformCounters(batching.counters))


class Strided:
    """The batches first, first + step, ... of a run, each passed through `convert`.

    An error takes the place of its batch.
    """

    def __init__(
        self, batching: Batching, run: Run, first: int, step: int, convert: Transform
    ) -> None:
        self._batching = batching
        self._run = run
        self._next = first
        self._step = step
        self._convert = convert
        self._batches = run.batches(batching.plan)
        self._rounds: tuple[int, Stream] | None = None  # an epoch, and its rounds

    def __iter__(self) -> Strided:
        return self

    @property
    def position(self) -> int:
        """How many batches of the run come before the next one of these."""
        return self._next if self._batches < 0 else min(self._next, self._batches)

    def __next__(self) -> Any:
        if 0 <= self._batches <= self._next:
            raise StopIteration
        plan = self._batching.plan
        epoch, batch = self._run.place(plan, self._next)
        self._next += self._step
        # Rounds of `step` full batches are batches of a plan with as many times more shards.
        if batch // self._step < plan.full_batches // self._step:
            return next(self._rounds_from(epoch, batch))
        return self._alone(epoch, batch)

    def close(self) -> None:
        self._next = self._batches = max(0, self._batches)
        self._end_rounds()

    def _end_rounds(self) -> None:
        if self._rounds is not None:
            self._rounds[1].close()
            self._rounds = None

    def _rounds_from(self, epoch: int, batch: int) -> Stream:
        if self._rounds is None or self._rounds[0] != epoch:
            self._end_rounds()
            plan = self._batching.plan
            rounds, part = divmod(batch, self._step)
            every = replace(
                plan,
                shard_index=part * plan.shard_count + plan.shard_index,
                shard_count=self._step * plan.shard_count,
                drop_remainder=True,
            )
            shard = replace(self._batching, plan=every)
            self._rounds = epoch, converted(shard, Run(epoch, rounds), self._convert)
        return self._rounds[1]

    def _alone(self, epoch: int, batch: int) -> Any:
        """One of the last batches of an epoch, fewer than there are workers."""
        batching = self._batching
        rows = batching.plan.rows(epoch, batch)
        element = pack(batching.structure, batching.at_once(rows))
        if batching.transform is not None:
            element = apply(batching.transform, element)
        return self._convert(element)
