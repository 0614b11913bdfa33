"""`npyfast bench`: what limits training on these files."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from npyfast import __version__
from npyfast._backends import backend
from npyfast._backends.interface import OpenedLeaf
from npyfast._commands.bench.contenders import ways
from npyfast._commands.bench.disk import Files, cached_share, measure_disk
from npyfast._commands.bench.facts import Disk, Facts, Source
from npyfast._commands.bench.plot import check_plot, plot
from npyfast._commands.bench.report import lines, title
from npyfast._commands.bench.turns import measure_ways
from npyfast._commands.bench.verdict import limit_of, verdict
from npyfast._commands.source_options import add_changes, add_reading, add_source, source_of
from npyfast._errors import printable
from npyfast._options import make_threads

if TYPE_CHECKING:
    from tqdm import tqdm

_DESCRIPTION = """\
Measures what the disk, the memory, npyfast and the usual loaders deliver of one array, in turns,
and says what limits a training on it. Reads the files, and writes nothing but the plot."""

# The share of the time for each of both kinds of cold reads.
_OF_DISK = 0.05
# The share for the loaders at least, where the start of TensorFlow takes longer than all the time.
_OF_LOADERS = 0.3


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "bench", help="measure what limits training on these files", description=_DESCRIPTION
    )
    parser.set_defaults(run=_run)
    add_source(parser)
    add_reading(parser)
    add_changes(parser.add_argument_group("how its rows are changed"))
    add = parser.add_argument_group("what is measured, and how it is reported").add_argument
    add("--batch-size", type=_batch_size, default=32, metavar="N", help="default: 32")
    add("--seconds", type=_seconds, default=60.0, metavar="S", help="in all; default: 60")
    add("--json", action="store_true", help="print the result as JSON")
    add("--plot", metavar="OUT.png", help="write a plot (needs matplotlib)")
    add("--quiet", action="store_true", help="show no progress and no notes")


def _batch_size(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 2**31:
        raise argparse.ArgumentTypeError(f"a batch size is an int of at least 1, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"a time is seconds above 0, such as 30, not {text!r}")
    return seconds


def _run(options: argparse.Namespace) -> int:
    if options.plot is not None:
        check_plot(options.plot)
    facts = _measure(options)
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        print("\n".join(map(printable, lines(facts))))
    if options.plot is not None:
        plot(facts, title(facts), options.plot)
    return 0


def _measure(options: argparse.Namespace) -> Facts:
    end = time.monotonic() + options.seconds
    source = source_of(options)
    leaf = source.open()
    if len(leaf) == 0:
        raise ValueError(f"{options.source[0]}: has no rows to measure")
    seconds, batch_size = options.seconds, min(options.batch_size, len(leaf))
    files = [(os.fsdecode(path), os.path.getsize(path)) for path, _ in leaf.parts()]
    found = _source(leaf, files)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    bar = _bar() if terminal and not options.quiet else None

    def show(text: str) -> None:
        if bar is not None:
            bar.set_description_str(text)

    try:
        show("disk")
        disk = _disk(files, found["row_bytes"], _OF_DISK * seconds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other packages
            several = ways(source, leaf, batch_size, found["fits_in_memory"] is not False)
            contenders = measure_ways(several, batch_size, end, _OF_LOADERS * seconds, show)
    finally:
        if bar is not None:
            bar.close()
    limit = limit_of(found, disk, contenders)
    native = backend().NAME == "native"
    return {
        "npyfast": __version__,
        "backend": backend().NAME,
        "cpus": make_threads(None) or os.cpu_count() or 1,
        "batch_size": batch_size,
        "source": found,
        "disk": disk,
        "contenders": contenders,
        "limit": limit,
        "verdict": verdict(found, disk, contenders, limit, batch_size, native),
    }


def _bar() -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(bar_format="{desc} ({elapsed})", leave=False)


def _source(leaf: OpenedLeaf, files: Files) -> Source:
    stored = sum(size for _, size in files)
    out_bytes = math.prod(leaf.row_shape) * leaf.dtype.itemsize
    nbytes = stored or out_bytes * len(leaf)
    usable = backend().usable_memory()
    return {
        "rows": len(leaf),
        "row_shape": list(leaf.row_shape),
        "dtype": str(leaf.dtype),
        "row_bytes": nbytes // len(leaf),
        "nbytes": nbytes,
        "files": len(files),
        "usable_memory": usable,
        "fits_in_memory": None if usable is None else nbytes <= usable,
        "cached_share": cached_share(files) if stored else None,
    }


def _disk(files: Files, row_bytes: int, seconds: float) -> Disk:
    if sum(size for _, size in files) > 0:
        return measure_disk(files, row_bytes, seconds)
    return {
        "sequential_bytes_per_second": None,
        "random_rows_per_second": None,
        "reason": "it was inflated into memory, or is read by another package",
    }
