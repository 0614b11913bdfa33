"""Whole epochs of one process, one after the other: what a part of the file in memory is worth."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence

import psutil
from harness import report
from harness.report import digits
from harness.targets import Target
from harness.turns import shuffled
from rich.table import Table
from rich.text import Text

from cold.disk import drop_pages
from cold.measure import Bench, RowSize
from cold.process import Outcome, run
from cold.tasks import each_epoch

_STEADY = 2  # the first epoch that counts: what stays in memory has been chosen by then


@dataclasses.dataclass
class Later:
    """One contender's epochs in one process, between two measurements by fio."""

    entry: str
    row_size: str
    file_bytes: int
    limit: int | None  # of memory; None is the whole machine's
    device: float  # random requests a second, by fio
    device_cpu_us: float
    outcome: Outcome
    first_batch_seconds: float = 0.0
    rows_per_second: list[float] = dataclasses.field(default_factory=list)  # of each epoch
    cpu_us_per_row: list[float] = dataclasses.field(default_factory=list)
    wrong_rows: int = 0  # of a further epoch: how many did not come exactly once

    @property
    def steady(self) -> float | None:
        """Rows a second of the third epoch on; of the last, where there are fewer."""
        rates = self.rows_per_second[_STEADY:] or self.rows_per_second[-1:]
        return statistics.median(rates) if rates else None

    @property
    def times_device(self) -> float | None:
        return self.steady / self.device if self.steady is not None else None


def measure(
    bench: Bench, size: RowSize, file_bytes: int, limit: int | None, keys: Sequence[str]
) -> list[Later]:
    """Every contender once a round, in a fresh process that takes the epochs."""
    options, fio = bench.options, bench.fio
    case = bench.case(size, file_bytes)
    found = []
    try:
        fio.whole(case.path)
        fio.choose_engine(case.path, size.request_bytes, size.depth)
        before = fio.random(case.path, size.request_bytes, size.depth)
        for number in range(options.rounds):
            for key in shuffled(keys, number):
                bench.progress(f"{size.name}, {options.epochs} epochs, round {number + 1}: {key}")
                seeded = dataclasses.replace(case, seed=number)
                longest = options.longest * (options.epochs + 1)
                task = (each_epoch, key, seeded, options.epochs)
                outcome = run(limit, longest, lambda: drop_pages(case.path), *task)
                after = fio.random(case.path, size.request_bytes, size.depth)
                device, cpu_us = (statistics.mean(each) for each in zip(before, after, strict=True))
                before = after
                later = Later(key, size.name, case.workload.nbytes, limit, device, cpu_us, outcome)
                _fill(later, case.workload.rows)
                found.append(later)
    finally:
        bench.delete(case)
    return found


def _fill(later: Later, rows: int) -> None:
    if later.outcome.result is not None:
        later.first_batch_seconds, took, later.wrong_rows = later.outcome.result
        later.rows_per_second = [rows / seconds for seconds, _ in took]
        later.cpu_us_per_row = [cpu / rows * 1e6 for _, cpu in took]


def table(laters: Sequence[Later]) -> Table:
    """A line for each process: rows a second and CPU a row of its epochs, and its memory."""
    made = report.table(
        "Epochs of one process: rows/s (µs of CPU a row); memory in MiB",
        ["", "GiB / memory", "first batch, ms", "epochs", "fio", "times fio", "not once",
         "RSS, page tables", "anonymous, grew by", "with cache"],
    )  # fmt: skip
    made.columns[3].no_wrap = True
    for each in laters:
        outcome = each.outcome
        limit = "machine" if each.limit is None else f"{each.limit / 2**30:.3g}"
        place = f"{each.entry}\n{each.row_size}", f"{each.file_bytes / 2**30:.3g} / {limit}"
        if outcome.problem:
            made.add_row(*place, "", Text(outcome.problem, style="dim"))
            continue
        rates = zip(each.rows_per_second, each.cpu_us_per_row, strict=True)
        made.add_row(
            *place,
            digits(each.first_batch_seconds * 1e3),
            "\n".join(f"{digits(rate)} ({digits(cpu)})" for rate, cpu in rates),
            f"{digits(each.device)} ({digits(each.device_cpu_us)})",
            digits(each.times_device or 0),
            str(each.wrong_rows),
            _mib(outcome.highest("resident"), outcome.highest("page_tables")),
            _mib(outcome.anonymous_bytes, _grown(outcome)),
            _mib(outcome.peak_bytes),
        )
    return made


def _mib(*values: float) -> str:
    return ", ".join(f"{each / 2**20:,.0f}" for each in values)


def _grown(outcome: Outcome) -> int:
    """How much more anonymous memory the second half of the time had than the quarter before."""
    samples = [each["anonymous"] for each in outcome.memory]
    quarter, half = len(samples) // 4, len(samples) // 2
    return max(samples[half:]) - max(samples[quarter:half]) if half > quarter else 0


def targets(laters: Sequence[Later]) -> Iterator[Target]:
    for each in laters:
        case = f"{each.row_size}, {each.file_bytes / 2**30:.3g} GiB"
        wrong = None if each.outcome.problem else float(each.wrong_rows)
        yield Target(f"{each.entry}, rows that did not come once", case, 0.0, False, wrong)
        memory = each.limit or psutil.virtual_memory().total
        if each.file_bytes > memory:
            # What stays in memory need not be read; a GiB is for the process and the system.
            fraction = max(0, memory - (1 << 30)) / each.file_bytes
            name = f"{each.entry}, epochs from the third on, times fio"
            yield Target(name, case, 0.8 / (1 - fraction), True, each.times_device)
        if each.limit is None and each.row_size == "192KiB":
            cpu = statistics.median(each.cpu_us_per_row[1:]) if each.cpu_us_per_row[1:] else None
            yield Target(f"{each.entry}, µs of CPU a row, later epochs", case, 45.0, False, cpu)
