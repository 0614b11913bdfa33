"""The stream of elements that several threads transform, as its readers see it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from npyfast._backends.interface import Stream
from npyfast._batches.delivered_counters import DeliveredCounters
from npyfast._batches.living import Living
from npyfast._batches.pending import END, Outcome, Pending
from npyfast._batches.transform import Transform
from npyfast._batches.transform_workers import Workers, serving


class TransformedByThreads:
    """A stream of elements that several threads transform ahead of the reader, delivered in order.

    The number of elements made ahead is small and fixed. Errors and interrupts are treated as by
    `Transformed`. Several readers may share a stream. Its threads end when it ends, is closed, or
    is garbage-collected. A forked child has none of the threads, and starts over at its reader's
    position.
    """

    def __init__(
        self,
        begin: Callable[[int], Stream],
        transform: Transform,
        threads: int,
        counters: DeliveredCounters,
        check: Callable[[], None],
    ) -> None:
        """`begin(position)` makes the stream of the elements from a position on. `check()` raises
        if a file has changed; the error takes the place of an element that was made earlier."""
        self.position = 0  # elements delivered
        self._begin = begin
        self._transform = transform
        self._threads = threads
        self._counters = counters
        self._check = check
        self._closed = False
        self._workers: Workers | None = None
        self._workers = self._working()
        counters.streams.add(self)
        _streams.add(self)

    def start_over(self) -> None:
        """Forgets all threads and all that they have made."""
        self._workers = None

    def __iter__(self) -> TransformedByThreads:
        return self

    def __next__(self) -> Any:
        begin = time.perf_counter_ns()
        wait_ns = 0
        if self._workers is not None and serving() is self._workers:
            # It would wait for itself.
            raise RuntimeError("a transform cannot read the iterator that it runs for")
        while not self._closed:
            workers = self._working()
            pending = workers.first()
            outcome = pending.outcome
            if outcome is None:
                self._await_or_make(workers, pending)
                wait_ns = time.perf_counter_ns() - begin
                continue
            if outcome is END:
                self.close()
                break
            again = None if outcome.items else Pending(pending.taken)
            if outcome.error is None:
                outcome = self._checked(outcome)
            # No call from here on.
            if self._workers is not workers or workers.coming[0] is not pending:
                continue  # another reader was faster
            if again is not None:
                workers.coming[0] = again
            else:
                del workers.coming[0]
            counters = self._counters
            counters.batches += outcome.batches
            counters.rows += outcome.rows
            counters.bytes += outcome.bytes
            counters.waits += wait_ns > 0
            counters.wait_ns += wait_ns
            counters.transform_ns += outcome.transform_ns
            counters.begun_ns = counters.begun_ns or begin
            self.position += outcome.items
            if outcome.error is None:
                return outcome.element
            try:
                raise outcome.error
            finally:
                del outcome, pending  # the error's traceback refers to this frame
        raise StopIteration

    def _checked(self, outcome: Outcome) -> Outcome:
        """The outcome, or an error if a file has changed. The stream checked the files when it gave
        the element to a thread, which may be many seconds ago."""
        try:
            self._check()
        except Exception as error:
            return Outcome(error=error)
        return outcome

    def _working(self) -> Workers:
        """The current workers; new ones if they were stopped."""
        while self._workers is None or self._workers.stopped:
            position = self.position
            workers = Workers(self._begin(position), self._transform, self._threads)
            if self.position == position:
                self._workers = workers
        return self._workers

    def _await_or_make(self, workers: Workers, pending: Pending) -> None:
        try:
            workers.await_or_make(pending)
        except BaseException:
            if workers.alone:
                self._workers = None  # the element that was being made is lost
            raise

    def ready(self) -> int:
        """The number of elements that are ready."""
        workers = self._workers
        if self._closed or workers is None:
            return 0
        outcomes = [pending.outcome for pending in workers.coming.copy()]
        return sum(outcome.items for outcome in outcomes if outcome is not None)

    def close(self) -> None:
        """Ends the iteration, and waits for running calls of the function."""
        workers = self._stop()
        if workers is not None and workers is not serving():
            workers.join()

    def _stop(self) -> Workers | None:
        self._closed = True
        if self._workers is not None:
            self._workers.stop()
        return self._workers

    def __del__(self) -> None:
        # Without waiting: the garbage may be collected by one of the threads.
        self._stop()


_streams: Living[TransformedByThreads] = Living()


def _start_over() -> None:
    """In a forked child: no thread is left, and those that are gone may have held locks."""
    for stream in _streams:
        stream.start_over()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
