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
# Times as fast as from_generator over np.memmap, by the kernel's readahead in KiB.
_FROM_GENERATOR = {128: 6.0, 8192: 100.0}
# Of full shuffles: the share of fio's requests that batches and a dataset reach at least, and the
# microseconds of CPU that a row takes at most.
_FULL = {"768B": (1.0, 1.0, 3.0), "12KiB": (0.98, 0.95, 5.0), "150KiB": (0.98, 0.95, None),
         "192KiB": (0.98, 0.95, 45.0)}  # fmt: skip


def targets(devices: Sequence[Device], fits: Sequence[Fit]) -> Iterator[Target]:
    """All that apply to what was measured."""
    cells = [cell for device in devices for cell in device.cells.values()]
    for cell in cells:
        yield from _share(cell)
    for device in devices:
        yield from _from_generator(device)
    own = [cell for cell in cells if named(cell.entry).ours]
    started = any(cell.turns or cell.killed for cell in own)
    killed = float(sum(cell.killed for cell in own)) if started else None
    yield Target("npyfast killed for memory", "all", 0.0, False, killed)
    for fit in fits:
        case = f"{fit.row_size}, file that fits"
        first, second = fit.ratio("first", "device"), fit.ratio("second", "warm")
        yield Target(f"{fit.entry}, first epoch vs fio", case, 1.15, False, first)
        # As fast as from the page cache: a tenth is noise.
        yield Target(f"{fit.entry}, second epoch vs warm", case, 1.10, False, second)


def _share(cell: Cell) -> Iterator[Target]:
    contender = named(cell.entry)
    # The generator is not promised anything.
    if not contender.ours or "generator" in cell.entry:
        return
    if access_of(contender) == "random":
        batches, dataset, cpu = _FULL[cell.row_size]
        limit = batches if cell.entry == "batches" else dataset
        name = f"{cell.entry}, share of fio's random requests"
        yield Target(name, cell.case, limit, True, cell.median("share"))
        if cpu is not None:
            name = f"{cell.entry}, µs of CPU a row"
            yield Target(name, cell.case, cpu, False, cell.median("cpu_us_per_row"))
    elif contender.shuffle is False or cell.row_size == "768B":  # large rows need no blocks
        limit = 0.90 if contender.shuffle else 0.98
        name = f"{cell.entry}, share of fio's sequential speed"
        yield Target(name, cell.case, limit, True, cell.median("share"))
        kept = cell.median("other_file_kept")
        if kept is not None:
            name = f"{cell.entry}, cached pages of another file that are kept"
            yield Target(name, cell.case, 0.99, True, kept)


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
        requests += f", {digits(statistics.median(device.random_cpu_us))} µs of CPU each"
    if device.sequential:
        mib = [each / _MIB for each in device.sequential]
        sequential = f"{statistics.median(mib):,.0f} MiB/s ({spread(mib)})"
    return (
        f"fio, {device.engine}: random reads of {device.request_bytes >> 10} KiB, "
        f"depth {device.depth}: {requests}; sequential: {sequential}"
    )


def rate_table(device: Device) -> Table:
    """Rows a second of every contender, with one row size and one readahead of the kernel."""
    size = ROW_SIZES[device.row_size]
    cells = list(device.cells.values())
    table = report.table(
        f"{cells[0].case}, batches of {size.batch}: medians (minimum to maximum)",
        [
            "",
            "rows/s",
            "CPU, µs a row",
            "MiB/s",
            "share of fio",
            "read / used",
            "other file kept",
            "own memory",
            "with cache",
        ],
    )
    for cell in cells:
        label = Text(named(cell.entry).label)
        memory = [f"{each / _MIB:,.0f} MiB" for each in (cell.anonymous_bytes, cell.peak_bytes)]
        rate = cell.median("rows_per_second")
        if rate is None:
            problem = Text(cell.problem or "not started", style="dim")
            table.add_row(label, problem, "", "", "", "", "", *(memory if cell.killed else ()))
            continue
        if cell.problem:
            label.append(f" ({cell.problem})", style="bold")
        turns = [each for each in cell.turns if each["disk_bytes"] is not None]
        kept = cell.median("other_file_kept")
        read = [each["disk_bytes"] / (each["rows"] * size.row_bytes) for each in turns]
        table.add_row(
            label,
            f"{digits(rate)} ({spread(cell.values('rows_per_second'))})",
            digits(cell.median("cpu_us_per_row") or 0),
            digits(rate * size.row_bytes / _MIB),
            f"{cell.median('share'):.1%}",
            f"{statistics.median(read):.2f}" if read else "",
            "" if kept is None else f"{kept:.1%}",
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
        label = named(fit.entry).label
        if not fit.first:
            table.add_row(label, fit.row_size, Text(fit.problem or "not started", style="dim"))
            continue
        device, first = (f"{statistics.median(each):.2f} s" for each in (fit.device, fit.first))
        second, warm = (
            f"{statistics.median(each) / fit.batches * 1e6:,.0f} µs a batch"
            for each in (fit.second, fit.warm)
        )
        ratios = [fit.ratio("first", "device"), fit.ratio("second", "warm")]
        of_first, of_second = (f"{each:.2f}" for each in ratios)
        table.add_row(label, fit.row_size, device, first, of_first, second, warm, of_second)
    return table
