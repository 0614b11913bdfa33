"""The command line of larger_than_memory.py."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import plot
from contenders import COLD, named
from harness import command, report, targets
from harness.check import check
from tqdm import tqdm

from cold.cgroup import CgroupError, memory_group
from cold.disk import Disk
from cold.fio import Fio, FioError
from cold.measure import ROW_SIZES, Bench, Device, Fit, Plan
from cold.report import device_line, fit_table, rate_table
from cold.report import targets as targets_of

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_FITTING = ("batches", "dataset-graph")


def main() -> int:
    options = _parser().parse_args()
    if options.check:
        sizes = [ROW_SIZES[name] for name in options.row_sizes]
        contenders = [named(key) for key in options.contenders]
        return check(contenders, [(each.workload(0), each.batch) for each in sizes], named)
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        fio = Fio(options.fio_seconds)
        with memory_group(None) as group:
            version = group.version
    except (FioError, CgroupError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    description = command.begin(options, options.folder)
    if description is None:
        return 2
    disk = Disk(options.folder)
    description["fio"] = f"{fio.version}, {fio.engine}"
    description["readahead_kib_found"] = disk.readahead_kib()
    description["cgroup"] = f"version {version}"
    # So that the readahead is restored and the files are deleted.
    signal.signal(signal.SIGTERM, _terminated)
    with disk.readahead_restored(), tqdm(unit="turn") as bar:
        return _measure(options, description, fio, disk, bar)


def _measure(
    options: argparse.Namespace, description: dict[str, Any], fio: Fio, disk: Disk, bar: Any
) -> int:
    def progress(text: str) -> None:
        bar.set_postfix_str(text)
        bar.update()

    plan = Plan(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Plan)})
    bench = Bench(plan, options.folder.resolve(), fio, disk, progress)
    contenders = [named(key) for key in options.contenders]
    devices: list[Device] = []
    fits: list[Fit] = []
    if "larger" in options.parts:
        readaheads = _readaheads(options.readahead, disk)
        for name in options.row_sizes:
            devices += bench.larger(ROW_SIZES[name], contenders, readaheads)
    fitting = [each for each in contenders if each.key in _FITTING]
    if "fits" in options.parts and fitting:
        for name in options.row_sizes:
            if name != "768B":
                fits += bench.fits(ROW_SIZES[name], fitting)
    bar.close()
    wanted = targets_of(devices, fits)
    content = _content(description, plan, options, devices, fits, wanted)
    _print(plan, devices, fits, wanted)
    report.write_json(content, options.json)
    print(f"Written: {options.json}")
    if devices:
        plot.draw(content, options.plot)
        print(f"Written: {options.plot}")
    return 0


def _print(
    plan: Plan,
    devices: Sequence[Device],
    fits: Sequence[Fit],
    wanted: Sequence[targets.Target],
) -> None:
    console = report.console()
    if plan.file_bytes < 2 * plan.limit:
        console.print("The file is not twice as large as the limit: nothing to quote.")
    for device in devices:
        console.print(rate_table(device))
        console.print(device_line(device))
    if fits:
        console.print(fit_table(fits))
    console.print(targets.table(wanted))


def _content(
    description: dict[str, Any],
    plan: Plan,
    options: argparse.Namespace,
    devices: Sequence[Device],
    fits: Sequence[Fit],
    wanted: Sequence[targets.Target],
) -> dict[str, Any]:
    made = [{**dataclasses.asdict(each), "queue": str(each.queue)} for each in devices]
    cells = [cell for each in made for cell in each.pop("cells").values()]
    return {
        "benchmark": "larger_than_memory",
        "machine": description,
        "plan": dataclasses.asdict(plan),
        "row_sizes": {
            name: {**dataclasses.asdict(ROW_SIZES[name]), "row_bytes": ROW_SIZES[name].row_bytes}
            for name in options.row_sizes
        },
        "entries": [
            {
                field: getattr(named(key), field)
                for field in ("key", "label", "does", "shuffle", "ours")
            }
            for key in options.contenders
        ],
        "devices": made,
        "cells": cells,
        "fits": [dataclasses.asdict(each) for each in fits],
        "targets": [each.as_json() for each in wanted],
    }


def _readaheads(wanted: Sequence[str], disk: Disk) -> list[int | None]:
    """The settings of the kernel's readahead to measure with; None leaves it as it is."""
    found = disk.readahead_kib()
    try:
        if found is None:
            raise OSError("the device has no such setting")
        disk.set_readahead_kib(found)
    except OSError as error:
        print(f"the kernel's readahead stays as it is: {error.strerror or error}", file=sys.stderr)
        return [found]
    return list(dict.fromkeys(found if each == "found" else int(each) for each in wanted))


def _terminated(number: int, frame: object) -> NoReturn:
    del frame
    sys.exit(128 + number)


def _bytes(text: str) -> int:
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            with contextlib.suppress(ValueError):
                return int(float(text[: -len(unit)]) * factor)
    raise argparse.ArgumentTypeError(f"{text!r} is no size such as 512MiB or 1.5GiB")


def _parser() -> argparse.ArgumentParser:
    parser = command.parser(
        "Batches from a file several times larger than memory. Needs root and fio.",
        data="--folder",
    )
    command.add_contenders(parser, COLD)
    command.several(parser, "--row-sizes", list(ROW_SIZES))
    command.several(parser, "--parts", ["larger", "fits"])
    command.several(parser, "--readahead", (), ("128", "found"), str)
    add = parser.add_argument
    for option, name, default in (
        ("--limit", "limit", "1GiB"),
        ("--file-size", "file_bytes", "6GiB"),
        ("--fits-size", "fits_bytes", "1GiB"),
        ("--fits-limit", "fits_limit", "4GiB"),
    ):
        add(option, dest=name, type=_bytes, default=default, help=f"default: {default}")
    add("--rounds", type=int, default=3, help="turns of each contender; default: 3")
    add("--seconds", type=float, default=10.0, help="of a turn; default: 10")
    add("--longest", type=float, default=120.0, help="seconds until one is given up; default: 120")
    add("--fio-seconds", type=float, default=3.0, help="of a measurement by fio; default: 3")
    add("--keep", action="store_true", help="keep the files")
    add("--json", type=Path, default=command.RESULTS / "larger_than_memory.json")
    add("--plot", type=Path, default=command.RESULTS / "larger_than_memory.png")
    return parser
