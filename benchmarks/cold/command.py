"""The command line of larger_than_memory.py."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import signal
import sys
from collections.abc import Sequence
from typing import Any

from contenders import COLD, named
from contenders.check import check
from harness import command, report
from tqdm import tqdm

from cold import later
from cold.cgroup import memory_group
from cold.disk import Disk, Fio
from cold.measure import ROW_SIZES, Bench, Device, Fit
from cold.report import device_line, fit_table, rate_table, targets

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "GB": 10**9}
_FITTING = ("batches", "dataset-graph")  # and in whole epochs
_WHOLE_MACHINE = {
    "parts": ["epochs"], "row_sizes": ["192KiB"], "epochs_sizes": [150_000 * (192 << 10)],
    "epochs_limit": None, "epochs": 3, "rounds": 1,
}  # fmt: skip
_PLAN = (
    "limit", "file_bytes", "fits_bytes", "fits_limit", "epochs", "epochs_sizes", "epochs_limit",
    "other", "rounds", "seconds", "longest", "keep",
)  # fmt: skip


def main(description: str | None) -> int:
    parser = _parser(description)
    options = parser.parse_args()
    if options.whole_machine:
        parser.set_defaults(**_WHOLE_MACHINE)
        options = parser.parse_args()
    sizes = [ROW_SIZES[name] for name in options.row_sizes]
    if options.check:
        return check(options.contenders, [(each.workload(0), each.batch) for each in sizes])
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        fio = Fio(options.fio_seconds)
        version: int | None = None
        if not options.whole_machine:
            with memory_group(None) as group:
                version = group.version
    except OSError as error:
        command.stop(error)
    machine = command.begin(options, options.folder)
    disk = Disk(options.folder)
    machine["fio"] = fio.version
    machine["readahead_kib_found"] = disk.readahead_kib()
    machine["cgroup"] = f"version {version}" if version else "none"
    # So that the readahead is restored and the files are deleted.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    devices: list[Device] = []
    fits: list[Fit] = []
    laters: list[later.Later] = []
    with disk.readahead_restored(), tqdm(unit="turn") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        bench = Bench(options, fio, disk, progress)
        if "larger" in options.parts:
            readaheads = _readaheads(options.readahead, disk)
            for size in sizes:
                devices += bench.larger(size, readaheads)
        fitting = [key for key in options.contenders if key in _FITTING]
        if "fits" in options.parts and fitting:
            for size in sizes:
                if size.name != "768B":
                    fits += bench.fits(size, fitting)
        if "epochs" in options.parts and fitting:
            for size, nbytes in itertools.product(sizes, options.epochs_sizes):
                laters += later.measure(bench, size, nbytes, options.epochs_limit, fitting)
    _print(options, devices, fits)
    if laters:
        report.console().print(later.table(laters))
    content = _content(machine, options, devices, fits)
    content["later"] = [{**dataclasses.asdict(e), "steady": e.steady} for e in laters]
    wanted = [*targets(devices, fits)] if devices or fits else []
    command.finish(options, content, [*wanted, *later.targets(laters)])
    return 0


def _print(options: argparse.Namespace, devices: Sequence[Device], fits: Sequence[Fit]) -> None:
    console = report.console()
    if devices and options.file_bytes < 2 * options.limit:
        console.print("The file is not twice as large as the limit: nothing to quote.")
    for device in devices:
        console.print(rate_table(device), device_line(device), sep="\n")
    if fits:
        console.print(fit_table(fits))


def _content(
    machine: dict[str, Any],
    options: argparse.Namespace,
    devices: Sequence[Device],
    fits: Sequence[Fit],
) -> dict[str, Any]:
    made = [dataclasses.asdict(each) for each in devices]
    cells = [cell for each in made for cell in each.pop("cells").values()]
    sizes = [ROW_SIZES[name] for name in options.row_sizes]
    entries = [named(key) for key in options.contenders]
    fields = ("key", "label", "shuffle", "ours")
    return {
        "benchmark": "larger_than_memory",
        "machine": machine,
        "plan": {name: getattr(options, name) for name in _PLAN},
        "row_sizes": {
            each.name: {**dataclasses.asdict(each), "row_bytes": each.row_bytes} for each in sizes
        },
        "entries": [{field: getattr(each, field) for field in fields} for each in entries],
        "devices": made,
        "cells": cells,
        "fits": [dataclasses.asdict(each) for each in fits],
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


def _bytes_or_none(text: str) -> int | None:
    return None if text == "none" else _bytes(text)


def _bytes(text: str) -> int:
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            with contextlib.suppress(ValueError):
                return int(float(text[: -len(unit)]) * factor)
    raise argparse.ArgumentTypeError(f"{text!r} is no size such as 512MiB or 1.5GiB")


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = command.parser(description, data="--folder")
    command.add_contenders(parser, COLD, "larger_than_memory")
    command.several(parser, "--row-sizes", ("768B", "12KiB", "150KiB"), tuple(ROW_SIZES))
    command.several(parser, "--parts", ("larger", "fits"), ("larger", "fits", "epochs"))
    command.several(parser, "--epochs-sizes", [6 * 10**9], read=_bytes)
    command.several(parser, "--readahead", ("128", "found"))
    add = parser.add_argument
    for option, name, default in (
        ("--limit", "limit", "1GiB"),
        ("--file-size", "file_bytes", "6GiB"),
        ("--fits-size", "fits_bytes", "1GiB"),
        ("--fits-limit", "fits_limit", "4GiB"),
    ):
        add(option, dest=name, type=_bytes, default=default, help=f"default: {default}")
    text = "memory for --parts epochs, or none for the machine's; default: 4GiB"
    add("--epochs-limit", type=_bytes_or_none, default="4GiB", help=text)
    add("--epochs", type=int, default=4, help="timed, of --parts epochs; default: 4")
    text = "epochs of 29.5 GB, (150000, 256, 256, 3) bytes, with the memory of the machine"
    add("--whole-machine", action="store_true", help=text)
    text = "size of another file that each process has read, to see what stays cached of it"
    add("--other", type=_bytes, default=0, help=text)
    add("--rounds", type=int, default=3, help="turns of each contender; default: 3")
    add("--seconds", type=float, default=10.0, help="of a turn; default: 10")
    add("--longest", type=float, default=120.0, help="seconds until one is given up; default: 120")
    add("--fio-seconds", type=float, default=3.0, help="of a measurement by fio; default: 3")
    add("--keep", action="store_true", help="keep the files")
    return parser
