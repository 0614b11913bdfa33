"""Results as tables in a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cold.data import ROW_SIZES
from cold.entries import ENTRIES
from cold.results import Cell, Device, Fit
from cold.targets import Target, case_name

_MIB = 1 << 20


def device_line(device: Device) -> str:
    """What fio measured beside the cells of a table."""
    requests = "not measured"
    if device.random:
        rate = statistics.median(device.random)
        requests = f"{rate:,.0f}/s ({_spread(device.random)})"
    sequential = "not measured"
    if device.sequential:
        in_mib = [each / _MIB for each in device.sequential]
        sequential = f"{statistics.median(in_mib):,.0f} MiB/s ({_spread(in_mib)})"
    return (
        f"fio: random reads of {device.request_bytes >> 10} KiB, {device.queue}: {requests}; "
        f"sequential: {sequential}"
    )


def rate_table(device: Device, cells: Sequence[Cell]) -> Table:
    """Rows a second of every entry, with one row size and one readahead of the kernel."""
    size = ROW_SIZES[device.row_size]
    title = f"{case_name(cells[0])}, batches of {size.batch}: medians (minimum to maximum)"
    table = _table(
        title, "rows/s", "MiB/s", "share of fio", "read / used", "own memory", "with cache"
    )
    for cell in cells:
        label = Text(ENTRIES[cell.entry].label)
        memory = (
            f"{cell.anonymous_bytes / _MIB:,.0f} MiB",
            f"{cell.peak_bytes / _MIB:,.0f} MiB",
        )
        rate, share = cell.median("rows_per_second"), cell.median("share")
        if rate is None or share is None:
            problem = Text(cell.problem or "not started", style="dim")
            table.add_row(label, problem, "", "", "", *(memory if cell.killed else ()))
            continue
        disk = cell.median("disk_bytes")
        read = [
            turn.disk_bytes / (turn.rows * size.row_bytes)
            for turn in cell.turns
            if turn.disk_bytes is not None
        ]
        rates = [turn.rows_per_second for turn in cell.turns]
        table.add_row(
            label.append(f" ({cell.problem})", style="bold") if cell.problem else label,
            f"{_digits(rate)} ({_spread(rates)})",
            _digits(rate * size.row_bytes / _MIB),
            f"{share:.1%}",
            "" if disk is None else f"{statistics.median(read):.2f}",
            *memory,
        )
    return table


def fit_table(fits: Sequence[Fit]) -> Table:
    """First and second epochs of files that fit in memory."""
    table = _table(
        "Files that fit in memory, nothing of them cached: medians",
        "rows",
        "fio, whole file",
        "first epoch",
        "ratio",
        "second epoch",
        "warm",
        "ratio",
    )
    for fit in fits:
        label = Text(ENTRIES[fit.entry].label)
        if not fit.first:
            table.add_row(label, fit.row_size, Text(fit.problem or "not started", style="dim"))
            continue
        us = {
            name: f"{statistics.median(getattr(fit, name)) / fit.batches * 1e6:,.0f} µs a batch"
            for name in ("second", "warm")
        }
        table.add_row(
            label,
            fit.row_size,
            f"{statistics.median(fit.device):.2f} s",
            f"{statistics.median(fit.first):.2f} s",
            f"{fit.ratio('first', 'device'):.2f}",
            us["second"],
            us["warm"],
            f"{fit.ratio('second', 'warm'):.2f}",
        )
    return table


def target_table(targets: Sequence[Target]) -> Table:
    """The project's targets, what was measured, and whether they were met."""
    table = Table(title="Targets", title_justify="left")
    for name in ("target", "case", "wanted", "measured", ""):
        table.add_column(name, justify="right" if name in ("wanted", "measured") else "left")
    for target in targets:
        wanted = f"{'≥' if target.at_least else '≤'} {target.limit:.2f}"
        measured = "" if target.measured is None else f"{target.measured:.2f}"
        style = {"miss": "bold", "not measured": "dim"}.get(target.verdict)
        table.add_row(target.name, target.case, wanted, measured, target.verdict, style=style)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _spread(values: Sequence[float]) -> str:
    return f"{_digits(min(values))} to {_digits(max(values))}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
