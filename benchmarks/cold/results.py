"""What was to be measured, and what was."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

from cold.fio import Queue


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the command line says."""

    folder: Path
    limit: int
    file_bytes: int
    fits_bytes: int
    fits_limit: int
    rounds: int
    seconds: float
    longest: float
    keep: bool


@dataclasses.dataclass(frozen=True)
class Turn:
    """One process: its rows, and the device's speed before and after it."""

    rows: int
    seconds: float
    rows_per_second: float
    device_rows_per_second: float  # the mean of fio before and after
    share: float
    disk_bytes: int | None  # read from the device meanwhile
    anonymous_bytes: int
    peak_bytes: int


@dataclasses.dataclass
class Cell:
    """What an entry did with one row size, at one setting of the kernel's readahead."""

    entry: str
    row_size: str
    readahead_kib: int | None
    turns: list[Turn] = dataclasses.field(default_factory=list)
    problem: str | None = None
    unavailable: bool = False
    killed: bool = False
    anonymous_bytes: int = 0  # the highest, of a process that was killed too
    peak_bytes: int = 0

    def median(self, field: str) -> float | None:
        values = [getattr(turn, field) for turn in self.turns]
        return statistics.median(values) if values and None not in values else None


@dataclasses.dataclass
class Device:
    """What fio measured beside the entries of one row size, at one setting."""

    row_size: str
    readahead_kib: int | None
    queue: Queue
    request_bytes: int
    random: list[float] = dataclasses.field(default_factory=list)  # requests a second
    sequential: list[float] = dataclasses.field(default_factory=list)  # bytes a second


@dataclasses.dataclass
class Fit:
    """A file that fits in memory: seconds and ratios, one sample a round."""

    entry: str
    row_size: str
    batches: int
    bytes: int
    device: list[float] = dataclasses.field(default_factory=list)  # to read the file, by fio
    first: list[float] = dataclasses.field(default_factory=list)  # epoch, nothing cached
    second: list[float] = dataclasses.field(default_factory=list)  # epoch after that
    warm: list[float] = dataclasses.field(default_factory=list)  # epoch, all cached beforehand
    problem: str | None = None

    def ratio(self, own: str, to: str) -> float | None:
        """The median of own/to, round by round."""
        pairs = list(zip(getattr(self, own), getattr(self, to), strict=True))
        return statistics.median(a / b for a, b in pairs) if pairs else None
