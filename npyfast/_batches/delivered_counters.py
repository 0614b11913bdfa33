"""Counters for elements that are transformed."""

from __future__ import annotations

from typing import Protocol

from npyfast._backends.interface import Counters, Counts
from npyfast._backends.numpy_stream import since
from npyfast._batches.living import Living


class _MadeAhead(Protocol):
    def ready(self) -> int:
        """The number of elements that are ready."""


class TransformCounters:
    """Counts the elements of streams that the reader itself transforms; see Counters.

    A reader waits for the transform as it waits for the batch.
    """

    def __init__(self, taken: Counters) -> None:
        self.taken = taken  # counts what was taken from the streams
        self.waits = self.transform_ns = 0

    def counters(self) -> Counts:
        taken = self.taken.counters()
        return taken._replace(
            waits=max(taken.waits, self.waits),
            wait_ns=taken.wait_ns + self.transform_ns,
            transform_ns=self.transform_ns,
        )


class DeliveredCounters:
    """Counts the elements that readers of streams transformed ahead have received; see Counters."""

    def __init__(self, taken: Counters) -> None:
        self.taken = taken  # counts what threads took, which may never be delivered
        self.streams: Living[_MadeAhead] = Living()
        self.batches = self.rows = self.bytes = self.waits = self.wait_ns = 0
        self.transform_ns = 0
        self.begun_ns = 0  # when the reader of the first element asked for it

    def counters(self) -> Counts:
        return self.taken.counters()._replace(
            batches=self.batches,
            rows=self.rows,
            bytes=self.bytes,
            waits=self.waits,
            wait_ns=self.wait_ns,
            batches_ahead=sum(stream.ready() for stream in self.streams),
            elapsed_ns=since(self.begun_ns),
            transform_ns=self.transform_ns,
        )
