"""How soon the first shuffled batch of a 1 TB file arrives, and how much memory it takes.

    python benchmarks/first_batch.py
    sudo .venv/bin/python benchmarks/first_batch.py --limit-gib 1 --rows 6000000

README.md in this folder describes the method.
"""

from __future__ import annotations

import functools
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from cold.disk import drop_pages
from cold.process import run
from harness import command, machine, report
from harness.workloads import Workload, make_file
from numpy.lib import format as npy_format

_ROW = (256,)  # of f4: 1 KiB


def main() -> None:
    parser = command.parser(__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=10**9, help="of 1 KiB; default: 10^9")
    add("--batch", type=int, default=32)
    add("--engine", nargs="+", choices=("graph", "generator"), help="default: both")
    add("--repetitions", type=int, default=5)
    text = "memory of a cgroup: reads a real file of random numbers, never cached (as root)"
    add("--limit-gib", type=float, help=text)
    add("--json", type=Path)
    add("--keep", action="store_true", help="keep the sparse file")
    options = parser.parse_args()
    description = command.begin(options, options.data)
    limit = None if options.limit_gib is None else int(options.limit_gib * 2**30)
    if limit:
        workload = Workload("first-batch", options.rows, _ROW, "<f4")
        path = make_file(workload, options.data.resolve())
    else:
        path = _sparse_file(options.data, options.rows)
    engines = options.engine or machine.engines()
    title = f"{options.rows:,} rows of 1 KiB, batch {options.batch}: medians (minimum to maximum)"
    table = report.table(title, ["", "first batch, ms", "anonymous memory, MiB"])
    results = {}
    colds = (True,) if limit else (True, False)
    for engine, cold, warm in itertools.product(engines, colds, (False, True)):
        state = "after one trivial op" if warm else "TensorFlow untouched"
        samples = []
        # All read the same rows. One that is not counted leaves their pages to the others.
        for number in range(1 if cold else 0, options.repetitions + 1):
            drop = (drop_pages if limit else _drop_unchecked) if cold else _leave
            arguments = (path, options.batch, engine, warm)
            outcome = run(limit, 120, functools.partial(drop, path), _first_batch, *arguments)
            if outcome.problem:
                raise RuntimeError(outcome.problem)
            sample = outcome.result
            if number:
                samples.append(sample)
        name = f"{engine}, {state}, file {'not ' if cold else ''}cached"
        results[name] = samples
        columns = zip(*(each.values() for each in samples), strict=True)
        cells = [f"{statistics.median(each):.1f} ({report.spread(each)})" for each in columns]
        table.add_row(name, *cells)
    if not options.keep:
        path.unlink()
    report.console().print(table)
    if options.json is not None:
        content = {"benchmark": "first_batch", "machine": description, "results": results}
        report.write_json(content, options.json)


def _drop_unchecked(path: Path) -> None:
    """Drops what is cached of a file that is too large to look for what stays."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _leave(path: Path) -> None:
    """Leaves a file's pages in the page cache."""


def _first_batch(
    ready: Callable[[], None], path: Path, batch: int, engine: str, warm: bool
) -> dict[str, float]:
    import tensorflow as tf

    import npyfast

    if warm:
        tf.constant(1) + 1
    ready()
    memory = machine.anonymous_bytes()
    begin = time.perf_counter()
    dataset = npyfast.dataset(path, batch, shuffle=True, seed=0, engine=engine)
    first = next(iter(dataset))
    milliseconds = (time.perf_counter() - begin) * 1e3
    assert first.shape == (batch, *_ROW), first.shape
    grown = machine.anonymous_bytes() - memory
    return {"milliseconds": milliseconds, "grown_mib": grown / 2**20}


def _sparse_file(folder: Path, rows: int) -> Path:
    """A valid .npy file of zeros that holds no blocks but its header's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sparse-{rows}.npy"
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, *_ROW)}
        npy_format.write_array_header_1_0(file, header)
        try:
            file.truncate(file.tell() + rows * _ROW[0] * 4)
        except OSError as error:
            reason = f"this file system takes no sparse file of {rows} KiB"
            raise OSError(f"{path}: {reason}; give --data on another one") from error
    return path


if __name__ == "__main__":
    main()
