"""Contenders in turns, each in a fresh process and between two measurements of the device."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.contender import Contender, UnavailableError
from harness.turns import shuffled
from harness.workloads import Case, Workload, make_file, read_into_page_cache

from cold.disk import Disk, drop_pages
from cold.fio import Fio, Queue
from cold.process import Outcome, run
from cold.tasks import epochs, rate


@dataclasses.dataclass(frozen=True)
class RowSize:
    """Rows of one size, the batches they come in, and what the disk is asked for a row."""

    name: str
    shape: tuple[int, ...]
    batch: int
    # Of the 4 KiB pages that hold a row, the nearest whole number on average: 1.2, 4.0 and 38.5,
    # rows being where the file's header of 128 bytes leaves them.
    request_bytes: int

    @property
    def row_bytes(self) -> int:
        return self.workload(0).row_bytes

    def workload(self, rows: int) -> Workload:
        return Workload(f"cold-{self.name}", rows, self.shape)


# Small rows in larger batches: with 64 of them Python would be asked for 25,000 batches a second.
ROW_SIZES: dict[str, RowSize] = {
    each.name: each
    for each in (
        RowSize("768B", (16, 16, 3), 256, 4 << 10),
        RowSize("12KiB", (64, 64, 3), 64, 16 << 10),
        RowSize("150KiB", (200, 256, 3), 64, 152 << 10),
    )
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the command line says; sizes in bytes."""

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
    """What a contender did with one row size, at one setting of the kernel's readahead."""

    entry: str
    row_size: str
    readahead_kib: int | None
    turns: list[Turn] = dataclasses.field(default_factory=list)
    problem: str | None = None
    unavailable: bool = False
    killed: bool = False
    anonymous_bytes: int = 0  # the highest, of a process that was killed too
    peak_bytes: int = 0

    @property
    def case(self) -> str:
        kib = "as found" if self.readahead_kib is None else f"{self.readahead_kib} KiB"
        return f"{self.row_size}, readahead {kib}"

    def median(self, field: str) -> float | None:
        values = [getattr(turn, field) for turn in self.turns]
        return statistics.median(values) if values and None not in values else None

    def add(self, outcome: Outcome, device: float, disk_bytes: int | None) -> None:
        self.anonymous_bytes = max(self.anonymous_bytes, outcome.anonymous_bytes)
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.problem, self.killed = outcome.problem, outcome.killed
        self.unavailable = outcome.unavailable
        if outcome.result is not None:
            rows, seconds = outcome.result
            memory = (outcome.anonymous_bytes, outcome.peak_bytes)
            own = rows / seconds
            self.turns.append(Turn(rows, seconds, own, device, own / device, disk_bytes, *memory))


@dataclasses.dataclass
class Device:
    """What fio measured beside the cells of one row size, at one setting."""

    row_size: str
    readahead_kib: int | None
    queue: Queue
    request_bytes: int
    random: list[float] = dataclasses.field(default_factory=list)  # requests a second
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


class Bench:
    """Measures row sizes, one file after the other."""

    def __init__(
        self, plan: Plan, folder: Path, fio: Fio, disk: Disk, progress: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._fio = fio
        self._disk = disk
        self._progress = progress

    def larger(
        self, size: RowSize, contenders: Sequence[Contender], readaheads: Sequence[int | None]
    ) -> list[Device]:
        """Makes the file, measures at each setting of the kernel's readahead, deletes the file."""
        case = self._case(size, self._plan.file_bytes)
        devices = []
        try:
            problems = {each.key: self._convert(each, case) for each in contenders}
            # The storage behind the device may cache what is read: all of it, for everybody.
            self._fio.whole(case.path)
            queue = self._fio.best_queue(case.path, size.request_bytes)
            for kib in readaheads:
                if kib is not None and kib != self._disk.readahead_kib():
                    self._disk.set_readahead_kib(kib)
                device = Device(size.name, kib, queue, size.request_bytes)
                device.cells = {
                    key: Cell(key, size.name, kib, problem=problem, unavailable=problem is not None)
                    for key, problem in problems.items()
                }
                devices.append(device)
                for number in range(self._plan.rounds):
                    # Another seed each round: the storage may have caches of its own.
                    self._round(number, dataclasses.replace(case, seed=number), contenders, device)
        finally:
            self._delete(case, contenders)
        return devices

    def fits(self, size: RowSize, contenders: Sequence[Contender]) -> list[Fit]:
        """Two epochs of a file that fits, once with nothing of it cached, once with all of it."""
        plan, fio = self._plan, self._fio
        case = self._case(size, plan.fits_bytes)
        nbytes = case.workload.nbytes
        fits = [Fit(each.key, size.name, case.batches_per_epoch, nbytes) for each in contenders]
        try:
            for number in range(plan.rounds):
                for fit in shuffled(fits, number):
                    if fit.problem is None:
                        self._progress(f"{size.name} that fit, round {number + 1}: {fit.entry}")
                        own = (epochs, fit.entry, case)
                        before = fio.whole(case.path)
                        cold = run(
                            plan.fits_limit, plan.longest, lambda: drop_pages(case.path), *own
                        )
                        after = fio.whole(case.path)
                        warm = run(
                            plan.fits_limit,
                            plan.longest,
                            lambda: read_into_page_cache(case.path),
                            *own,
                        )
                        fit.problem = cold.problem or warm.problem
                        if fit.problem is None:
                            fit.device.append((before + after) / 2)
                            fit.first.append(cold.result[0])
                            fit.second.append(cold.result[1])
                            fit.warm.append(warm.result[1])
        finally:
            self._delete(case, contenders)
        return fits

    def _case(self, size: RowSize, nbytes: int) -> Case:
        self._progress(f"{size.name}: writing the file")
        workload = size.workload(nbytes // size.row_bytes)
        case = Case(workload, make_file(workload, self._folder), size.batch, cold=True)
        os.sync()  # with nothing of it left to be written
        return case

    def _delete(self, case: Case, contenders: Sequence[Contender]) -> None:
        if not self._plan.keep:
            for path in {case.path, *(each.file(case.path) for each in contenders)}:
                path.unlink(missing_ok=True)

    def _convert(self, contender: Contender, case: Case) -> str | None:
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

    def _round(
        self, number: int, case: Case, contenders: Sequence[Contender], device: Device
    ) -> None:
        for access in ("random", "sequential"):
            before: float | None = None
            for contender in shuffled(contenders, number):
                cell = device.cells[contender.key]
                # What has failed once would fail again.
                if access_of(contender) == access and cell.problem is None:
                    self._progress(f"{cell.case}, round {number + 1}: {contender.label}")
                    if before is None:
                        before = self._device_rows(access, case, device)
                    outcome, disk_bytes = self._turn(contender, case)
                    after = self._device_rows(access, case, device)
                    cell.add(outcome, (before + after) / 2, disk_bytes)
                    before = after

    def _device_rows(self, access: str, case: Case, device: Device) -> float:
        """Rows a second that the device has: requests, or bytes by the size of a row."""
        if access == "random":
            rate = self._fio.random(case.path, device.request_bytes, device.queue)
            device.random.append(rate)
            return rate
        device.sequential.append(self._fio.sequential(case.path))
        return device.sequential[-1] / case.workload.row_bytes

    def _turn(self, contender: Contender, case: Case) -> tuple[Outcome, int | None]:
        start: list[int | None] = []

        def before_start() -> None:
            drop_pages(contender.file(case.path))
            start.append(self._disk.bytes_read())

        plan = self._plan
        task = (rate, contender.key, case, plan.seconds)
        outcome = run(plan.limit, plan.longest, before_start, *task)
        end = self._disk.bytes_read()
        begin = start[0] if start else None
        return outcome, None if begin is None or end is None else end - begin


def access_of(contender: Contender) -> str:
    """What the device is asked for beside a contender: its speed is a share of that."""
    return "random" if contender.shuffle is True else "sequential"
