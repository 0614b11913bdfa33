"""The command line of larger_than_memory.py."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import machine
import npyfast_build
import report
from tqdm import tqdm

from cold import plot, tables
from cold.cgroup import CgroupError, memory_group
from cold.check import check
from cold.data import ROW_SIZES
from cold.disk import Disk
from cold.entries import ENTRIES, FITTING
from cold.fio import Fio, FioError
from cold.fitting import measure_fitting
from cold.results import Cell, Device, Fit, Plan
from cold.targets import Target, targets
from cold.turns import LargerThanMemory

_BENCHMARKS = Path(__file__).resolve().parent.parent
_PARTS = ("larger", "fits")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PATHS = ("--folder", "--json", "--plot")  # options that name places on this machine


def main() -> int:
    options = _parser().parse_args()
    refusal = npyfast_build.refusal(allow_numpy_backend=options.allow_numpy_backend)
    if refusal is not None:
        print(refusal, file=sys.stderr)
        return 2
    if options.check:
        return _check(options)
    try:
        fio = Fio(options.fio_seconds)
        _cgroup_version()
    except (FioError, CgroupError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    disk = Disk(options.folder)
    # So that the readahead is restored and the files are deleted.
    signal.signal(signal.SIGTERM, _terminated)
    with disk.readahead_restored():
        return _measure(options, fio, disk)


def _measure(options: argparse.Namespace, fio: Fio, disk: Disk) -> int:
    description = machine.describe(options.folder)
    description["command"] = _command()
    description["npyfast"] = npyfast_build.describe()
    description["fio"] = f"{fio.version}, {fio.engine}"
    description["readahead_kib_found"] = disk.readahead_kib()
    description["cgroup"] = f"version {_cgroup_version()}"
    console = report.console()
    for line in machine.summary(description):
        console.print(line, highlight=False, markup=False)
    plan = Plan(
        folder=options.folder.resolve(),
        limit=options.limit,
        file_bytes=options.file_size,
        fits_bytes=options.fits_size,
        fits_limit=options.fits_limit,
        rounds=options.rounds,
        seconds=options.seconds,
        longest=options.longest,
        keep=options.keep,
    )
    if plan.file_bytes < 2 * plan.limit:
        console.print("The file is not twice as large as the limit: nothing to quote.")
    entries = [ENTRIES[key] for key in options.contenders]
    fits: list[Fit] = []
    with tqdm(unit="turn") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        larger = LargerThanMemory(plan, fio, disk, progress)
        if "larger" in options.parts:
            readaheads = _readaheads(options.readahead, disk)
            for name in options.row_sizes:
                larger.measure(ROW_SIZES[name], entries, readaheads)
        keys = [key for key in FITTING if key in options.contenders]
        if "fits" in options.parts and keys:
            for name in options.row_sizes:
                if name != "768B":
                    fits += measure_fitting(plan, fio, ROW_SIZES[name], keys, progress)
    wanted = targets(larger.cells, fits)
    for device in larger.devices:
        console.print(tables.rate_table(device, larger.cells_of(device)))
        console.print(tables.device_line(device), highlight=False)
    if fits:
        console.print(tables.fit_table(fits))
    console.print(tables.target_table(wanted))
    content = _content(description, plan, options, larger.devices, larger.cells, fits, wanted)
    report.write_json(content, options.json)
    written = [options.json]
    if larger.devices:
        plot.draw(content, options.plot)
        written.append(options.plot)
    names = " and ".join(str(path) for path in written)
    console.print(f"Written: {names}", highlight=False, markup=False)
    return 0


def _content(
    description: dict[str, Any],
    plan: Plan,
    options: argparse.Namespace,
    devices: Sequence[Device],
    cells: Sequence[Cell],
    fits: Sequence[Fit],
    wanted: Sequence[Target],
) -> dict[str, Any]:
    settings = dataclasses.asdict(plan)
    del settings["folder"]
    return {
        "benchmark": "larger_than_memory",
        "machine": description,
        "plan": settings,
        "row_sizes": {
            name: {**dataclasses.asdict(ROW_SIZES[name]), "row_bytes": ROW_SIZES[name].row_bytes}
            for name in options.row_sizes
        },
        "entries": [
            {
                "key": key,
                "label": ENTRIES[key].label,
                "does": ENTRIES[key].contender.does,
                "shuffle": ENTRIES[key].shuffle,
                "ours": ENTRIES[key].ours,
            }
            for key in options.contenders
        ],
        "devices": [{**dataclasses.asdict(each), "queue": str(each.queue)} for each in devices],
        "cells": [dataclasses.asdict(each) for each in cells],
        "fits": [dataclasses.asdict(each) for each in fits],
        "targets": [{**dataclasses.asdict(each), "verdict": each.verdict} for each in wanted],
    }


def _readaheads(wanted: Sequence[str], disk: Disk) -> list[int | None]:
    """The settings of the kernel's readahead to measure with; None leaves it as it is."""
    found = disk.readahead_kib()
    kib = dict.fromkeys(found if each == "found" else int(each) for each in wanted)
    try:
        if found is None:
            raise OSError("the device has no such setting")
        disk.set_readahead_kib(found)
    except OSError as error:
        print(f"the kernel's readahead stays as it is: {error.strerror or error}", file=sys.stderr)
        return [found]
    return list(kib)


def _cgroup_version() -> int:
    """The version of the memory cgroups; raises CgroupError where none can be made."""
    with memory_group(None) as group:
        return group.version


def _check(options: argparse.Namespace) -> int:
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="npyfast-check-") as folder:
        for entry, found, right in check(
            [ENTRIES[key] for key in options.contenders],
            [ROW_SIZES[name] for name in options.row_sizes],
            Path(folder),
        ):
            verdict = {True: "ok", False: "WRONG", None: "-"}[right]
            print(f"{verdict:6} {entry.label:48} {found}", flush=True)
            wrong += right is False
    return 1 if wrong else 0


def _command() -> str:
    """The command line without the places it names."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word in _PATHS:
            next(words, None)
        elif not word.startswith(tuple(f"{each}=" for each in _PATHS)):
            kept.append(word)
    return shlex.join(["python", "benchmarks/larger_than_memory.py", *kept])


def _terminated(number: int, frame: object) -> NoReturn:
    del frame
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    keys = list(ENTRIES)
    parser = argparse.ArgumentParser(
        description="Batches from a file several times larger than memory. Needs root and fio.",
        epilog="Contenders: " + "; ".join(f"{key}: {ENTRIES[key].label}" for key in keys),
    )
    several = "comma-separated; default: all"
    sizes, parts = list(ROW_SIZES), list(_PARTS)
    results = _BENCHMARKS / "results"
    add = parser.add_argument
    add("--row-sizes", type=_several(sizes), default=sizes, help=f"{', '.join(sizes)}; {several}")
    add("--contenders", type=_several(keys), default=keys, help=several)
    add("--parts", type=_several(parts), default=parts, help=f"{', '.join(parts)}; {several}")
    add("--limit", type=_bytes, default="1GiB", help="memory of a contender; default: 1GiB")
    add("--file-size", type=_bytes, default="6GiB", help="of the file; default: 6GiB")
    add("--fits-size", type=_bytes, default="1GiB", help="of the file that fits; default: 1GiB")
    add("--fits-limit", type=_bytes, default="4GiB", help="memory there; default: 4GiB")
    add(
        "--readahead",
        type=lambda text: text.split(","),
        default=["128", "found"],
        help="the kernel's, in KiB, or 'found' to leave it; default: 128,found",
    )
    add("--rounds", type=int, default=3, help="turns of each contender; default: 3")
    add("--seconds", type=float, default=10.0, help="of a turn; default: 10")
    add(
        "--longest",
        type=float,
        default=120.0,
        help="seconds after which a contender is given up; default: 120",
    )
    add("--fio-seconds", type=float, default=3.0, help="of a measurement by fio; default: 3")
    add("--folder", type=Path, default=_BENCHMARKS / "data", help="on the disk to measure")
    add("--keep", action="store_true", help="keep the files")
    add("--json", type=Path, default=results / "larger_than_memory.json")
    add("--plot", type=Path, default=results / "larger_than_memory.png")
    add("--check", action="store_true", help="only compare every contender's rows with the file's")
    add("--allow-numpy-backend", action="store_true")
    return parser


def _bytes(text: str) -> int:
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            with contextlib.suppress(ValueError):
                return int(float(text[: -len(unit)]) * factor)
    raise argparse.ArgumentTypeError(f"{text!r} is no size such as 512MiB or 1.5GiB")


def _several(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        values = text.split(",")
        for value in values:
            if value not in allowed:
                raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(allowed)}")
        return values

    return parse
