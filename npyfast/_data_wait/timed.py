"""Iterators that measure how long their batches take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from npyfast._data_wait.meter import Meter, clock


class FetchTimer:
    """An iterator of batches that reports to a meter how long each one took.

    Its first batch takes the time since `opened`, when the making of the iterator began.
    """

    def __init__(
        self,
        batches: Iterator[Any],
        opened: float,
        meter: Callable[[], Meter | None],
        end: Callable[[], BaseException] = StopIteration,
    ) -> None:
        """`meter` gives the meter of the current epoch; `end` the exception after the last
        batch."""
        self._batches = batches
        self._opened: float | None = opened
        self._meter = meter
        self._end = end

    def __iter__(self) -> FetchTimer:
        return self

    def __next__(self) -> Any:
        begin = clock() if self._opened is None else self._opened
        self._opened = None
        meter = self._meter()
        try:
            batch = next(self._batches)
        except StopIteration:
            if meter is not None:
                meter.exhausted(begin)
            raise self._end() from None
        if meter is not None:
            meter.fetched(begin, clock())
        return batch


class LoopTimer:
    """What a training loop iterates over: a step lasts until the loop asks for the next batch."""

    def __init__(self, batches: Any, meter: Meter) -> None:
        self._batches = batches
        self._meter = meter
        self._step = -1  # the one that the loop is at
        self._timer = FetchTimer(iter(batches), meter.begun, lambda: meter)

    def __iter__(self) -> LoopTimer:
        return self

    def __next__(self) -> Any:
        if self._step >= 0:
            self._meter.done(self._step)
        try:
            batch = next(self._timer)
        except StopIteration:
            self._meter.stop()
            raise
        self._step += 1
        return batch

    def __len__(self) -> int:
        """The number of batches, if what is iterated over has one."""
        return len(self._batches)

    def close(self) -> None:
        """The step that the loop is at is the last one, and done now."""
        if self._meter.ended is None:
            if self._step >= 0:
                self._meter.done(self._step)
            self._meter.stop()

    def __del__(self) -> None:
        self.close()
