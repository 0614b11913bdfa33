"""Entries in turns, each between two measurements of the device."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from contenders import Settings
from contenders.base import UnavailableError
from machine import cpus

from cold.child import Task
from cold.data import RowSize, make
from cold.disk import Disk, drop_pages
from cold.entries import Access, Entry
from cold.fio import Fio
from cold.process import Outcome, run
from cold.results import Cell, Device, Plan, Turn


class LargerThanMemory:
    """Measures every entry, one row size after the other."""

    def __init__(self, plan: Plan, fio: Fio, disk: Disk, progress: Callable[[str], None]) -> None:
        self._plan = plan
        self._fio = fio
        self._disk = disk
        self._progress = progress
        self.cells: list[Cell] = []
        self.devices: list[Device] = []

    def measure(
        self, size: RowSize, entries: Sequence[Entry], readaheads: Sequence[int | None]
    ) -> None:
        """Makes the file, measures at each setting of the kernel's readahead, deletes the file."""
        workload = size.workload(self._plan.file_bytes)
        self._progress(f"{size.name}: writing the file")
        path = make(workload, self._plan.folder)
        written = [path]
        task_file = (size.name, str(path), workload.rows, list(size.shape), size.batch)
        try:
            problems = {}
            for entry in entries:
                own = entry.contender(Settings(threads=cpus())).converted(path)
                if own != path:
                    written.append(own)
                problem = self._convert(entry, size, path)
                if problem is not None:
                    problems[entry.key] = problem
            # The storage behind the device may cache what is read: all of it, for everybody.
            self._fio.whole(path)
            queue = self._fio.best_queue(path, size.request_bytes)
            for readahead in readaheads:
                self._set_readahead(readahead)
                device = Device(size.name, readahead, queue, size.request_bytes)
                self.devices.append(device)
                cells = {each.key: Cell(each.key, size.name, readahead) for each in entries}
                for key, problem in problems.items():
                    cells[key].problem, cells[key].unavailable = problem, True
                self.cells += cells.values()
                for number in range(self._plan.rounds):
                    self._round(number, size, path, task_file, entries, cells, device)
        finally:
            if not self._plan.keep:
                for each in written:
                    each.unlink(missing_ok=True)

    def cells_of(self, device: Device) -> list[Cell]:
        """What was measured beside `device`."""
        return [
            cell
            for cell in self.cells
            if (cell.row_size, cell.readahead_kib) == (device.row_size, device.readahead_kib)
        ]

    def _convert(self, entry: Entry, size: RowSize, path: Path) -> str | None:
        """Writes the contender's own file; returns why it is left out."""
        if entry.row_sizes is not None and size.name not in entry.row_sizes:
            return f"only with rows of {' and '.join(entry.row_sizes)}"
        contender = entry.contender(Settings(threads=cpus()))
        try:
            contender.require()
            if contender.converted(path) != path:
                self._progress(f"{size.name}: converting the file for {entry.label}")
            contender.convert(size.workload(self._plan.file_bytes), path)
        except (UnavailableError, OSError, RuntimeError) as reason:
            return str(reason)
        return None

    def _set_readahead(self, kib: int | None) -> None:
        if kib is not None and kib != self._disk.readahead_kib():
            self._disk.set_readahead_kib(kib)

    def _round(
        self,
        number: int,
        size: RowSize,
        path: Path,
        task_file: tuple[str, str, int, list[int], int],
        entries: Sequence[Entry],
        cells: dict[str, Cell],
        device: Device,
    ) -> None:
        for access in ("random", "sequential"):
            # What has failed once would fail again.
            waiting = [
                each
                for each in entries
                if each.access == access and cells[each.key].problem is None
            ]
            random.Random(number).shuffle(waiting)
            if not waiting:
                continue
            before = self._device_rows(access, size, path, device)
            for entry in waiting:
                self._progress(
                    f"{size.name}, readahead {device.readahead_kib} KiB, round {number + 1}: "
                    f"{entry.label}"
                )
                task = Task("rate", entry.key, [task_file], self._plan.seconds, number)
                contender = entry.contender(Settings(threads=cpus()))
                outcome, disk_bytes = self._run(task, contender.converted(path))
                after = self._device_rows(access, size, path, device)
                _add(cells[entry.key], outcome, (before + after) / 2, disk_bytes)
                before = after

    def _device_rows(self, access: Access, size: RowSize, path: Path, device: Device) -> float:
        """Rows a second that the device has: requests, or bytes by the size of a row."""
        if access == "random":
            device.random.append(self._fio.random(path, size.request_bytes, device.queue))
            return device.random[-1]
        device.sequential.append(self._fio.sequential(path))
        return device.sequential[-1] / size.row_bytes

    def _run(self, task: Task, path: Path) -> tuple[Outcome, int | None]:
        start: list[int | None] = [None]

        def before_start() -> None:
            drop_pages(path)
            start[0] = self._disk.bytes_read()

        outcome = run(task, self._plan.limit, self._plan.longest, before_start)
        end = self._disk.bytes_read()
        return outcome, None if start[0] is None or end is None else end - start[0]


def _add(cell: Cell, outcome: Outcome, device_rows: float, disk_bytes: int | None) -> None:
    cell.anonymous_bytes = max(cell.anonymous_bytes, outcome.anonymous_bytes)
    cell.peak_bytes = max(cell.peak_bytes, outcome.peak_bytes)
    cell.problem, cell.killed = outcome.problem, outcome.killed
    cell.unavailable = outcome.unavailable
    if outcome.result is None:
        return
    rows, seconds = outcome.result["rows"], outcome.result["seconds"]
    rate = rows / seconds
    cell.turns.append(
        Turn(
            rows,
            seconds,
            rate,
            device_rows,
            rate / device_rows,
            disk_bytes,
            outcome.anonymous_bytes,
            outcome.peak_bytes,
        )
    )
