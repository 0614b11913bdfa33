"""Contenders in turns, each in a fresh process and between two measurements of the device."""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from contenders import named
from harness.contender import Contender, UnavailableError
from harness.turns import shuffled
from harness.workloads import Case, Workload, make_file, make_path, read_into_page_cache

from cold.disk import Disk, Fio, cached_pages, drop_pages
from cold.process import Outcome, run
from cold.tasks import epochs, rate


@dataclasses.dataclass(frozen=True)
class RowSize:
    """Rows of one size, the batches they come in, and what the disk is asked for a row."""

    name: str
    shape: tuple[int, ...]
    batch: int
    # The 4 KiB pages that hold a row, on average, rounded: 1.2, 4.0, 38.5 and 49. The header of 128
    # bytes shifts the rows.
    request_bytes: int
    depth: int  # requests in flight, of fio at random

    @property
    def row_bytes(self) -> int:
        return self.workload(0).row_bytes

    def workload(self, rows: int) -> Workload:
        return Workload(f"cold-{self.name}", rows, self.shape, numbered=True)


# Small rows come in larger batches: 64 of them would mean 25,000 batches a second in Python.
_SIZES = (
    RowSize("768B", (16, 16, 3), 256, 4 << 10, 128),
    RowSize("12KiB", (64, 64, 3), 64, 16 << 10, 64),
    RowSize("150KiB", (200, 256, 3), 64, 152 << 10, 64),
    RowSize("192KiB", (256, 256, 3), 32, 196 << 10, 64),
)
ROW_SIZES = {each.name: each for each in _SIZES}


@dataclasses.dataclass
class Cell:
    """What a contender did with one row size, at one setting of the kernel's readahead."""

    entry: str
    row_size: str
    readahead_kib: int | None
    problem: str | None = None
    turns: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    killed: bool = False
    anonymous_bytes: int = 0  # the highest, of a process that was killed too
    peak_bytes: int = 0

    @property
    def case(self) -> str:
        kib = "as found" if self.readahead_kib is None else f"{self.readahead_kib} KiB"
        return f"{self.row_size}, readahead {kib}"

    def values(self, field: str) -> list[float]:
        return [turn[field] for turn in self.turns if turn[field] is not None]

    def median(self, field: str) -> float | None:
        values = self.values(field)
        return statistics.median(values) if values else None

    def add(self, outcome: Outcome, device: float, measured: dict[str, Any]) -> None:
        """Adds a turn: one process, and the rows a second of the device before and after it."""
        self.anonymous_bytes = max(self.anonymous_bytes, outcome.anonymous_bytes)
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.problem, self.killed = outcome.problem, outcome.killed
        if outcome.result is not None:
            rows, seconds, cpu_seconds = outcome.result
            self.turns.append(
                {
                    "rows": rows,
                    "seconds": seconds,
                    "rows_per_second": rows / seconds,
                    "cpu_us_per_row": cpu_seconds / rows * 1e6,
                    "device_rows_per_second": device,
                    "share": rows / seconds / device,
                    **measured,
                    "anonymous_bytes": outcome.anonymous_bytes,
                    "peak_bytes": outcome.peak_bytes,
                }
            )


@dataclasses.dataclass
class Device:
    """What fio measured between the turns of one row size, at one setting."""

    row_size: str
    readahead_kib: int | None
    engine: str  # of fio
    depth: int
    request_bytes: int
    random: list[float] = dataclasses.field(default_factory=list)  # requests a second
    random_cpu_us: list[float] = dataclasses.field(default_factory=list)  # of one request
    sequential: list[float] = dataclasses.field(default_factory=list)  # bytes a second
    cells: dict[str, Cell] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Fit:
    """A file that fits in memory: seconds, one sample a round."""

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


@dataclasses.dataclass(frozen=True)
class Bench:
    """Measures row sizes, one file after the other."""

    options: argparse.Namespace
    fio: Fio
    disk: Disk
    progress: Callable[[str], None]

    def larger(self, size: RowSize, readaheads: Sequence[int | None]) -> list[Device]:
        """Makes the file, measures at each setting of the kernel's readahead, deletes the file."""
        case = self.case(size, self.options.file_bytes)
        devices = []
        try:
            problems = {key: _convert(named(key), case) for key in self.options.contenders}
            # The storage may have a cache of its own: fill it, so that all find the same state.
            self.fio.whole(case.path)
            engine = self.fio.choose_engine(case.path, size.request_bytes, size.depth)
            for kib in readaheads:
                if kib is not None and kib != self.disk.readahead_kib():
                    self.disk.set_readahead_kib(kib)
                device = Device(size.name, kib, engine, size.depth, size.request_bytes)
                for key, problem in problems.items():
                    device.cells[key] = Cell(key, size.name, kib, problem)
                devices.append(device)
                for number in range(self.options.rounds):
                    # Another seed each round: the storage may have caches of its own.
                    self._round(number, dataclasses.replace(case, seed=number), device)
        finally:
            self.delete(case)
        return devices

    def fits(self, size: RowSize, keys: Sequence[str]) -> list[Fit]:
        """Two epochs of a file that fits, once with nothing of it cached, once with all of it."""
        case = self.case(size, self.options.fits_bytes)
        nbytes = case.workload.nbytes
        fits = [Fit(key, size.name, case.batches_per_epoch, nbytes) for key in keys]
        try:
            for number in range(self.options.rounds):
                for fit in shuffled(fits, number):
                    if fit.problem is None:
                        self.progress(f"{size.name} that fit, round {number + 1}: {fit.entry}")
                        self._epochs(fit, case)
        finally:
            self.delete(case)
        return fits

    def _epochs(self, fit: Fit, case: Case) -> None:
        def two_epochs(prepare: Callable[[Path], None]) -> Outcome:
            limits = (self.options.fits_limit, self.options.longest)
            return run(*limits, lambda: prepare(case.path), epochs, fit.entry, case)

        before = self.fio.whole(case.path)
        cold = two_epochs(drop_pages)
        after = self.fio.whole(case.path)
        warm = two_epochs(read_into_page_cache)
        fit.problem = cold.problem or warm.problem
        if fit.problem is None:
            fit.device.append((before + after) / 2)
            fit.first.append(cold.result[0])
            fit.second.append(cold.result[1])
            fit.warm.append(warm.result[1])

    def case(self, size: RowSize, nbytes: int) -> Case:
        self.progress(f"{size.name}: writing the file")
        workload = size.workload(nbytes // size.row_bytes)
        path = make_file(workload, self.options.folder.resolve())
        os.sync()  # with nothing of it left to be written
        return Case(workload, path, size.batch, cold=True)

    def delete(self, case: Case) -> None:
        if not self.options.keep:
            own = {named(key).file(case.path) for key in self.options.contenders}
            other = make_path(Workload("other", self.options.other, ()), case.path.parent)
            for path in {case.path, other, *own}:
                path.unlink(missing_ok=True)

    def _round(self, number: int, case: Case, device: Device) -> None:
        for access in ("random", "sequential"):
            before: float | None = None
            for key in shuffled(self.options.contenders, number):
                cell, contender = device.cells[key], named(key)
                # What has failed once would fail again.
                if access_of(contender) == access and cell.problem is None:
                    self.progress(f"{cell.case}, round {number + 1}: {contender.label}")
                    if before is None:
                        before = self._device_rows(access, case, device)
                    outcome, measured = self._turn(contender, case)
                    after = self._device_rows(access, case, device)
                    cell.add(outcome, (before + after) / 2, measured)
                    before = after

    def _device_rows(self, access: str, case: Case, device: Device) -> float:
        """Rows a second that the device has: requests, or bytes by the size of a row."""
        if access == "random":
            found = self.fio.random(case.path, device.request_bytes, device.depth)
            device.random.append(found.rate)
            device.random_cpu_us.append(found.cpu_us)
            return found.rate
        device.sequential.append(self.fio.sequential(case.path))
        return device.sequential[-1] / case.workload.row_bytes

    def _turn(self, contender: Contender, case: Case) -> tuple[Outcome, dict[str, Any]]:
        """Also returns the bytes read from the device, and what is still cached of another file."""
        start: list[int | None] = [None]
        pages: list[int] = [0]
        other: Path | None = None
        if self.options.other:
            other = make_file(Workload("other", self.options.other, ()), case.path.parent)
            drop_pages(other)  # so that the process reads it, and its cgroup is charged

        def before_start() -> None:
            drop_pages(contender.file(case.path))
            pages.append(cached_pages(other) if other else 0)
            start.append(self.disk.bytes_read())

        task = (rate, contender.key, case, self.options.seconds, other)
        outcome = run(self.options.limit, self.options.longest, before_start, *task)
        begin, end = start[-1], self.disk.bytes_read()
        read = None if begin is None or end is None else end - begin
        kept = cached_pages(other) / pages[-1] if other and pages[-1] else None
        return outcome, {"disk_bytes": read, "other_file_kept": kept}


def _convert(contender: Contender, case: Case) -> str | None:
    """Writes the contender's own file; returns why it is left out."""
    # FFCV's writer takes a Python call a row, and a second file as large as the first.
    if contender.key == "ffcv" and case.workload.name != "cold-12KiB":
        return "only with rows of 12KiB"
    try:
        contender.require()
        contender.convert(case.workload, case.path)
    except (UnavailableError, OSError, RuntimeError) as reason:
        return str(reason)
    return None


def access_of(contender: Contender) -> str:
    """What fio measures before and after a contender's turns, which are compared with it."""
    return "random" if contender.shuffle is True else "sequential"
