"""How much of an epoch was spent waiting for data."""

from __future__ import annotations

import threading
import time
from collections import deque

clock = time.perf_counter


class Meter:
    """The waits of one epoch.

    A wait is time in which a batch was fetched and nothing was computed: a step that is still
    computing when the next batch is asked for (on an accelerator, or in the background) hides the
    fetch until it is done. May be used by several threads.
    """

    def __init__(self) -> None:
        self.begun = clock()
        self.ended: float | None = None
        self.wait_seconds = 0.0
        self.steps = 0
        self.step_share: float | None = None  # of the last step that was done
        self._computed_until = self.begun
        self._fetched: deque[tuple[float, float]] = deque()  # batches whose step is not done
        self._exhausted: tuple[float, float] | None = None  # the attempt that found no batch
        self._done: dict[int, float] = {}  # steps that are done, while an earlier one is not
        self._lock = threading.Lock()

    def fetched(self, begin: float, end: float) -> None:
        """The batch of the next step was fetched in this time."""
        self._fetched.append((max(begin, self.begun), end))

    def done(self, step: int) -> None:
        """The step with this number, which counts from 0, is done now."""
        now = clock()
        with self._lock:
            self._done[step] = now
            while self.steps in self._done and self._fetched:
                self._finish(self._done.pop(self.steps))

    def _finish(self, now: float) -> None:
        before = self._computed_until
        waited = self._wait(*self._fetched.popleft())
        self._computed_until = max(self._computed_until, now)
        self.steps += 1
        spent = self._computed_until - before
        self.step_share = min(1.0, waited / spent) if spent > 0 else 0.0

    def _wait(self, begin: float, end: float) -> float:
        waited = max(0.0, end - max(begin, self._computed_until))
        self.wait_seconds += waited
        self._computed_until = max(self._computed_until, end)
        return waited

    def exhausted(self, begin: float) -> None:
        """There was no other batch, which took from `begin` to now to find out."""
        self._exhausted = max(begin, self.begun), clock()

    def stop(self) -> None:
        """All steps of the epoch are done."""
        with self._lock:
            if self.ended is None:
                if self._exhausted is not None:
                    self._wait(*self._exhausted)
                self.ended = self._computed_until

    @property
    def seconds(self) -> float:
        """The length of the epoch, as far as its steps are done."""
        return (self.ended or self._computed_until) - self.begun

    @property
    def share(self) -> float | None:
        """The share of the time that was waited; None before the first step is done."""
        if self.steps == 0 or self.seconds <= 0:
            return None
        return min(1.0, self.wait_seconds / self.seconds)
