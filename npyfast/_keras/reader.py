"""Batches of an epoch by number: those in sequence from a stream, others at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from npyfast._backends.interface import Counts, Stream
from npyfast._backends.numpy_stream import since
from npyfast._batches.batching import Batching
from npyfast._batches.living import Living
from npyfast._batches.transform import apply
from npyfast._nest import pack
from npyfast._order.plan import Run

# How far behind its stream a reader may be that is expected to catch up with it. Keras looks at the
# first one or two batches before it trains.
_NEAR = 2


class Reader:
    """Reads the batches of one epoch at a time. Thread-safe.

    Reading in sequence uses a stream, which makes batches ahead. A batch out of sequence is made by
    the thread that asks for it, and the stream stays where it is; where reading goes on from there,
    a new stream takes over.
    """

    def __init__(self, batching: Batching, guard: Callable[[Stream], Iterator[Any]]) -> None:
        """`guard` wraps each stream that is read."""
        self.epoch = 0
        self._batching = batching
        self._guard = guard
        self._rows = batching.backend.rows_of(batching.plan)
        self._last = -1  # the number of the batch that was asked for last
        self._first = 0  # the number of the stream's first batch
        self._stream: Stream | None = None
        self._guarded: Iterator[Any] = iter(())
        self._counts = Counts(*[0] * 8)  # of the batches that were made at once
        self._begun_ns = 0  # when the first of them was asked for
        self.lock = threading.RLock()
        _readers.add(self)

    def begin(self, epoch: int) -> None:
        """Goes to an epoch."""
        with self.lock:
            self.epoch = epoch
            self._last = -1
            self._drop()

    def batch(self, number: int) -> Any:
        """A batch of the epoch."""
        with self.lock:
            epoch = self.epoch
            if self._is_next(number):
                return self._taken()
        return self._made(epoch, number)

    def close(self) -> Batching:
        """Ends reading for good. Returns what is left of the batching, without the leaves."""
        with self.lock:
            self._drop()
            self._batching = replace(self._batching, leaves=[], names=[], transform=None)
            return self._batching

    def counts(self) -> tuple[Counts, Counts]:
        """What was delivered: by streams, and at once."""
        at_once = self._counts._replace(elapsed_ns=since(self._begun_ns))
        return self._batching.counters.counters(), at_once

    def start_over(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self.lock = threading.RLock()
        self._stream, self._guarded = None, iter(())

    def _coming(self) -> int | None:
        """The number of the batch that the stream delivers next."""
        return None if self._stream is None else self._first + self._stream.position

    def _is_next(self, number: int) -> bool:
        """Whether the stream is to deliver this batch next."""
        goes_on = number in (0, self._last + 1)
        self._last = number
        coming = self._coming()
        if coming == number:
            return True
        if not goes_on or (coming is not None and number < coming <= number + _NEAR):
            return False
        self._drop()
        self._stream = self._batching.stream(Run(self.epoch, number))
        self._guarded = self._guard(self._stream)
        self._first = number
        return True

    def _taken(self) -> Any:
        try:
            return next(self._guarded)
        except StopIteration:
            raise RuntimeError("the interpreter is shutting down") from None
        finally:
            if self._coming() == self._batching.plan.batches:
                self._drop()

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        self._guarded = iter(())
        if stream is not None:
            stream.close()

    def _made(self, epoch: int, number: int) -> Any:
        """A batch that this thread makes, and so waits for."""
        begin = time.perf_counter_ns()
        batching = self._batching
        rows = self._rows(epoch, number)
        flat = batching.at_once(rows)
        size = sum(column.nbytes for column in flat)
        element = pack(batching.structure, flat)
        transformed = time.perf_counter_ns()
        if batching.transform is not None:
            element = apply(batching.transform, element)
        end = time.perf_counter_ns()
        with self.lock:
            done = self._counts
            self._counts = done._replace(
                batches=done.batches + 1,
                rows=done.rows + len(rows),
                bytes=done.bytes + size,
                waits=done.waits + 1,
                wait_ns=done.wait_ns + end - begin,
                transform_ns=done.transform_ns + end - transformed,
            )
            self._begun_ns = self._begun_ns or begin
        return element


_readers: Living[Reader] = Living()


def _start_over() -> None:
    for reader in _readers:
        reader.start_over()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
