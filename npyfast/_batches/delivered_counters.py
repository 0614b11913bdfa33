"""Counters for elements that are transformed ahead of the reader."""

from __future__ import annotations

from typing import Protocol

from npyfast._backends.interface import Counters, Counts
from npyfast._batches.living import Living


class _MadeAhead(Protocol):
    def ready(self) -> int:
        """The number of elements that are ready."""


class DeliveredCounters:
    """Counts the elements that readers of transformed streams have received; see Counters."""

    def __init__(self, taken: Counters) -> None:
        self.taken = taken  # counts what threads took, which may never be delivered
        self.streams: Living[_MadeAhead] = Living()
        self.batches = self.rows = self.bytes = self.waits = self.wait_ns = 0

    def counters(self) -> Counts:
        return self.taken.counters()._replace(
            batches=self.batches,
            rows=self.rows,
            bytes=self.bytes,
            waits=self.waits,
            wait_ns=self.wait_ns,
            batches_ahead=sum(stream.ready() for stream in self.streams),
        )
