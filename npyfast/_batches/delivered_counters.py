"""Counters for elements that are transformed ahead of the reader."""

from __future__ import annotations

from typing import Protocol

from npyfast._backends.interface import Counters
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

    def counters(self) -> tuple[int, ...]:
        *_, needed_bytes, read_bytes = self.taken.counters()
        ahead = sum(stream.ready() for stream in self.streams)
        counted = (self.batches, self.rows, self.bytes, self.waits, self.wait_ns)
        return *counted, ahead, needed_bytes, read_bytes
