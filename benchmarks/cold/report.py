"""Tables of what was measured, and the project's targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from contenders import named
from harness import report
from harness.report import digits, spread
from harness.targets import Target
from rich.table import Table
from rich.text import Text

from cold.measure import ROW_SIZES, Cell, Device, Fit, access_of

_MIB = 1 << 20
_FULL_SHARE = 0.95
_BLOCK_SHARE = 0.80
# Times as fast as from_generator over np.memmap, by the kernel's readahead in KiB.
_FROM_GENERATOR = {128: 6.0, 8192: 100.0}
_FIRST_EPOCH = 1.15
# The second epoch is to be as fast as from the page cache: that much is noise.
_SECOND_EPOCH = 1.10


def targets(devices: Sequence[Device], fits: Sequence[Fit]) -> list[Target]:
    """All that apply to what was measured."""
    cells = [cell for device in devices for cell in device.cells.values()]
    found = [*_shares(cells)]
    for device in devices:
        found += _from_generator(device)
    own = [cell for cell in cells if named(cell.entry).ours]
    started = any(cell.turns or cell.killed for cell in own)
    killed = float(sum(cell.killed for cell in own)) if started else None
    found.append(Target("npyfast killed for memory", "all", 0.0, False, killed))
    for fit in fits:
        case = f"{fit.row_size}, file that fits"
        first, second = fit.ratio("first", "device"), fit.ratio("second", "warm")
        found.append(Target(f"{fit.entry}, first epoch vs fio", case, _FIRST_EPOCH, False, first))
        name = f"{fit.entry}, second epoch vs warm"
        found.append(Target(name, case, _SECOND_EPOCH, False, second))
    return found


def _shares(cells: Sequence[Cell]) -> Iterator[Target]:
    for cell in cells:
        contender = named(cell.entry)
        block = contender.shuffle == "block"
        # Large rows have no need of blocks. The generator is not promised anything.
        if (
            contender.ours
            and "generator" not in cell.entry
            and (not block or cell.row_size == "768B")
        ):
            of = "random requests" if access_of(contender) == "random" else "sequential speed"
            limit = _BLOCK_SHARE if block else _FULL_SHARE
            name = f"{cell.entry}, share of fio's {of}"
            yield Target(name, cell.case, limit, True, cell.median("share"))


def _from_generator(device: Device) -> Iterator[Target]:
    limit = _FROM_GENERATOR.get(device.readahead_kib or 0)
    for key in ("batches", "dataset-graph"):
        if limit is not None and key in device.cells:
            own, other = device.cells[key], device.cells.get("from-generator")
            rates = [each.median("rows_per_second") if each else None for each in (own, other)]
            ratio = rates[0] / rates[1] if rates[0] and rates[1] else None
            yield Target(f"{key} vs from_generator", own.case, limit, True, ratio)


def device_line(device: Device) -> str:
    """What fio measured beside the cells of a table."""
    requests = sequential = "not measured"
    if device.random:
        requests = f"{statistics.median(device.random):,.0f}/s ({spread(device.random)})"
    if device.sequential:
        mib = [each / _MIB for each in device.sequential]
        sequential = f"{statistics.median(mib):,.0f} MiB/s ({spread(mib)})"
    return (
        f"fio: random reads of {device.request_bytes >> 10} KiB, {device.queue}: {requests}; "
        f"sequential: {sequential}"
    )


def rate_table(device: Device) -> Table:
    """Rows a second of every contender, with one row size and one readahead of the kernel."""
    size = ROW_SIZES[device.row_size]
    cells = list(device.cells.values())
    table = report.table(
        f"{cells[0].case}, batches of {size.batch}: medians (minimum to maximum)",
        ["", "rows/s", "MiB/s", "share of fio", "read / used", "own memory", "with cache"],
    )
    for cell in cells:
        label = Text(named(cell.entry).label)
        memory = [f"{each / _MIB:,.0f} MiB" for each in (cell.anonymous_bytes, cell.peak_bytes)]
        rate, share = cell.median("rows_per_second"), cell.median("share")
        if rate is None or share is None:
            problem = Text(cell.problem or "not started", style="dim")
            table.add_row(label, problem, "", "", "", *(memory if cell.killed else ()))
            continue
        read = [
            each.disk_bytes / (each.rows * size.row_bytes)
            for each in cell.turns
            if each.disk_bytes is not None
        ]
        table.add_row(
            label.append(f" ({cell.problem})", style="bold") if cell.problem else label,
            f"{digits(rate)} ({spread([each.rows_per_second for each in cell.turns])})",
            digits(rate * size.row_bytes / _MIB),
            f"{share:.1%}",
            f"{statistics.median(read):.2f}" if read else "",
            *memory,
        )
    return table


def fit_table(fits: Sequence[Fit]) -> Table:
    """First and second epochs of files that fit in memory."""
    table = report.table(
        "Files that fit in memory, nothing of them cached: medians",
        ["", "rows", "fio, whole file", "first epoch", "ratio", "second epoch", "warm", "ratio"],
    )
    for fit in fits:
        label = Text(named(fit.entry).label)
        if not fit.first:
            table.add_row(label, fit.row_size, Text(fit.problem or "not started", style="dim"))
            continue
        second, warm = (
            f"{statistics.median(each) / fit.batches * 1e6:,.0f} µs a batch"
            for each in (fit.second, fit.warm)
        )
        table.add_row(
            label,
            fit.row_size,
            f"{statistics.median(fit.device):.2f} s",
            f"{statistics.median(fit.first):.2f} s",
            f"{fit.ratio('first', 'device'):.2f}",
            second,
            warm,
            f"{fit.ratio('second', 'warm'):.2f}",
        )
    return table
