"""`npyfast pack`: `npyfast.pack` from the command line."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from npyfast._backends import backend
from npyfast._commands.source_options import add_changes, add_reading, add_source, source_of
from npyfast._packing.pack import pack
from npyfast._packing.packed_rows import Progress
from npyfast._packing.sizes import format_bytes, parse_bytes

if TYPE_CHECKING:
    from tqdm import tqdm

_DESCRIPTION = """\
Writes one array from any source as one or several plain .npy files: many small files, a compressed
member of an .npz, a chunked HDF5 dataset, raw numbers, a cast, a subset, or a random order. All or
nothing: no file gets its final name before all are complete and on the disk."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "pack",
        help="write anything that npyfast reads as plain .npy files",
        description=_DESCRIPTION,
    )
    parser.set_defaults(run=_run)
    add = parser.add_argument
    add_source(parser)
    add("-o", "--out", required=True, metavar="OUT.npy", help="the file to write")

    add_reading(parser)
    changing = parser.add_argument_group("how its rows are changed")
    add = changing.add_argument
    add_changes(changing)
    add("--rows", type=_rows, metavar="A:B[:C]", help="write only these rows, as in X[A:B:C]")
    add("--shuffle", action="store_true", help="write the rows in random order")
    add("--seed", type=_seed, metavar="N", help="seed of that order (default: drawn, and reported)")

    writing = parser.add_argument_group("how it is written")
    add = writing.add_argument
    add(
        "--max-file-size",
        type=_size,
        metavar="SIZE",
        help="write several files of at most SIZE, such as 1GiB: OUT-00000-of-00012.npy, ...",
    )
    add("--verify", action="store_true", help="read the files again and compare before renaming")
    add("--overwrite", action="store_true", help="replace files that exist")
    add("--quiet", action="store_true", help="print nothing but errors")


def _rows(text: str) -> slice:
    """A slice in Python's notation."""
    match = re.fullmatch(r"(-?\d*):(-?\d*)(?::(-?\d*))?", text.replace(" ", ""), re.ASCII)
    if match is None or "-" in match.groups() or (match[3] and int(match[3]) == 0):
        raise argparse.ArgumentTypeError(f"rows are A:B or A:B:C, as in X[A:B:C], not {text!r}")
    return slice(*(int(part) if part else None for part in match.groups()))


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d+", text, re.ASCII) or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(f"a seed is an int in [0, 2**64), not {text!r}")
    return int(text)


def _size(text: str) -> int:
    try:
        return parse_bytes("a size", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _Bar:
    """A progress bar on stderr for each stage, in bytes."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def show(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            from tqdm import tqdm

            self.close()
            self._stage = progress.stage
            # tqdm shows nothing if the terminal reports no size, as in some containers.
            size = shutil.get_terminal_size()
            self._bar = tqdm(
                total=progress.total_bytes,
                desc=progress.stage,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                ncols=size.columns,
                nrows=size.lines,
                leave=False,
            )
        assert self._bar is not None
        if progress.total_rows:
            rows = f"{progress.rows:,}/{progress.total_rows:,} rows"
            self._bar.set_postfix_str(rows, refresh=False)
        self._bar.total = progress.total_bytes  # grows while several archives are unpacked
        self._bar.update(progress.bytes - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _run(options: argparse.Namespace) -> int:
    if options.seed is not None and not options.shuffle:
        raise ValueError("--seed is for --shuffle, which is missing")
    terminal = sys.stderr is not None and sys.stderr.isatty()  # it may be closed
    bar = _Bar() if terminal and not options.quiet else None
    last: Progress | None = None

    def show(progress: Progress) -> None:
        nonlocal last
        last = progress
        if bar is not None:
            bar.show(progress)

    begin = time.monotonic()
    try:
        written = pack(
            source_of(options),
            options.out,
            rows=options.rows,
            shuffle=options.shuffle,
            seed=options.seed,
            max_file_size=options.max_file_size,
            verify=options.verify,
            overwrite=options.overwrite,
            progress=show,
        )
    finally:
        if bar is not None:
            bar.close()
    if not options.quiet and last is not None:
        print(_summary(written, last, options.verify, time.monotonic() - begin))
    return 0


def _summary(written: list[str], done: Progress, verified: bool, seconds: float) -> str:
    """What was done, in one line."""
    where = written[0]
    if len(written) > 1:
        where = f"{len(written)} files, {written[0]} to {written[-1]},"
    header = backend().read_header(written[0])
    text = (
        f"packed {done.total_rows:,} rows of {header.shape[1:]} {header.dtype}, "
        f"{format_bytes(done.total_bytes)}, into {where}"
    )
    text += f" in {seconds:.1f} s"
    if done.seed is not None:
        text += f", shuffled with seed {done.seed}"
    return text + (", verified" if verified else "")
