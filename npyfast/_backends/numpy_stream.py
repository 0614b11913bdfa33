"""The stream of the NumPy backend: each batch is made when it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from npyfast._backends.interface import Counts
from npyfast._order.plan import Plan, Run
from npyfast._order.selection import RowNumbers

# Row numbers to compute in one call: the order costs some 80 us however few are asked for.
_ROWS_AT_ONCE = 4096


class NumpyCounters:
    """Counters that streams share. They are updated without a call, so no reader sees half an
    update."""

    def __init__(self) -> None:
        self.batches = self.rows = self.bytes = self.waits = self.wait_ns = 0
        self.begun_ns = 0  # when a reader first asked for a batch, by time.perf_counter_ns()

    def counters(self) -> Counts:
        # Nothing is made or read ahead.
        return Counts(
            *(self.batches, self.rows, self.bytes, self.waits, self.wait_ns, 0, 0, 0),
            elapsed_ns=since(self.begun_ns),
        )


def since(begun_ns: int) -> int:
    """Nanoseconds since a time of time.perf_counter_ns(); 0 if that is 0."""
    return time.perf_counter_ns() - begun_ns if begun_ns else 0


class Item(NamedTuple):
    """An element, and what to count for it."""

    element: Any
    batches: int
    rows: int
    bytes: int


class Place(NamedTuple):
    """Where an item begins, and the most batches it may have."""

    epoch: int
    batch: int
    size: int


class NumpyStream:
    """The batches of a run, each made when it is asked for.

    An error is raised in place of its item; if the item has several batches, those that can be made
    are delivered one by one. An interrupt, which is not an Exception, delivers nothing: the item
    comes again. For that, the last steps contain no call, nor do those that take a place.
    """

    def __init__(
        self,
        make: Callable[[RowNumbers, int], Item],
        plan: Plan,
        run: Run,
        group: int,
        counters: NumpyCounters,
    ) -> None:
        self.position = 0
        self._make = make
        self._plan = plan
        self._run = run
        self._group = group
        self._counters = counters
        # Items double in size until they are a whole group.
        self._next = self._place(run.start_epoch, run.start_batch, 1)
        self._before: list[Place] = []  # places that come before the next one
        self._known = (-1, 0, np.empty((0, 0), np.int64))  # epoch, batch; rows from there on

    def __iter__(self) -> NumpyStream:
        return self

    def __next__(self) -> Any:
        begin = time.perf_counter_ns()
        self._counters.begun_ns = self._counters.begun_ns or begin
        taken: list[Place] = []
        try:
            while self._take(taken):
                try:
                    item = self._item(taken[0])
                except Exception:
                    alone = self._alone(taken[0])
                    if not alone:
                        raise
                    self._before = alone + self._before
                    taken.clear()
                    continue
                wait_ns = time.perf_counter_ns() - begin
                counted = self._counters
                counted.batches += item.batches
                counted.rows += item.rows
                counted.bytes += item.bytes
                counted.waits += 1
                counted.wait_ns += wait_ns
                self.position += 1
                return item.element
        except Exception:
            self.position += 1
            raise
        except BaseException:
            self._before = taken + self._before
            raise
        raise StopIteration

    def close(self) -> None:
        self._next = None
        self._before = []

    def _place(self, epoch: int, batch: int, size: int) -> Place | None:
        """The place there, or at the start of the next epoch; None at the end of the run."""
        plan, run = self._plan, self._run
        if batch >= plan.batches:
            epoch, batch, size = epoch + 1, 0, self._group
        ended = 0 <= run.epochs <= epoch - run.start_epoch
        return None if ended or plan.batches == 0 else Place(epoch, batch, size)

    def _batches(self, place: Place) -> int:
        """The number of batches of the item: a short last batch is never part of a group."""
        return max(1, min(place.size, self._plan.full_batches - place.batch))

    def _take(self, taken: list[Place]) -> bool:
        """Appends the next place to `taken`; False if there is none."""
        while not self._before:
            place = self._next
            if place is None:
                return False
            after = place.batch + self._batches(place)
            following = self._place(place.epoch, after, min(2 * place.size, self._group))
            if self._next is place:  # and no other reader was faster
                self._next = following
                taken += [place]
                return True
        taken += self._before[:1]
        del self._before[:1]
        return True

    def _alone(self, place: Place) -> list[Place]:
        """The places of the single batches of an item that has several."""
        batches = self._batches(place)
        each = [Place(place.epoch, place.batch + i, 1) for i in range(batches)]
        return each if batches > 1 else []

    def _item(self, place: Place) -> Item:
        batches = self._batches(place)
        return self._make(self._rows(place, batches), batches)

    def _rows(self, place: Place, batches: int) -> RowNumbers:
        plan = self._plan
        epoch, first, rows = self._known
        begin = place.batch - first
        if epoch != place.epoch or begin < 0 or begin + batches > len(rows):
            some = min(_ROWS_AT_ONCE // plan.batch_size, plan.full_batches - place.batch)
            many = max(some, batches)
            rows = plan.rows(place.epoch, place.batch, many).reshape(many, -1)
            self._known = (place.epoch, place.batch, rows)
            begin = 0
        return rows[begin : begin + batches].reshape(-1)
