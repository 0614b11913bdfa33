"""What `npyfast bench` finds out; docs/command-line.md documents the keys."""

from __future__ import annotations

from typing import Literal, TypedDict


class Source(TypedDict):
    """The array, and the memory for it."""

    rows: int
    row_shape: list[int]
    dtype: str  # of a batch
    row_bytes: int  # as stored
    nbytes: int  # as stored
    files: int
    usable_memory: int | None
    fits_in_memory: bool | None
    cached_share: float | None  # of a sample of pages, before anything was read


class Disk(TypedDict):
    """Cold reads of a sample; None where they could not be measured, for the reason given."""

    sequential_bytes_per_second: float | None
    random_rows_per_second: float | None
    reason: str | None


class Contender(TypedDict):
    """One way to read the array; without samples, for the reason given."""

    name: str
    rows_per_second: float | None  # median
    samples: list[float]  # one for each turn
    reason: str | None


class Facts(TypedDict):
    """The result of `npyfast bench --json`."""

    npyfast: str
    backend: str
    cpus: int
    batch_size: int
    source: Source
    disk: Disk
    contenders: list[Contender]
    limit: Literal["disk", "tensorflow", "cpu"] | None  # of npyfast.dataset; None: not known
    verdict: str
