"""Rows a second and CPU a row of npyfast.batches, from one CPU to all of them.

    python benchmarks/scaling.py
    sudo .venv/bin/python benchmarks/scaling.py --cases cold/64

README.md in this folder describes the method.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from harness import command, machine, report, targets
from harness.report import digits, spread
from harness.turns import shuffled
from harness.workloads import WORKLOADS, Case, Workload, make_file, read_into_page_cache

_CASES = {"mnist": 32, "cifarf": 64, "img": 32, "feat": 256, "cold": 64}  # and their batches
_COLD = Workload("cold-12KiB", 0, (64, 64, 3), numbered=True)
_FREE = 0.5  # seconds that are not timed, until the speed is steady


def main() -> int:
    parser = command.parser(__doc__)
    command.several(parser, "--cases", ("mnist", "cifarf"), tuple(_CASES))
    command.several(parser, "--counts", _counts(machine.cpus()), read=_count)
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="turns of each count; default: 5")
    add("--seconds", type=float, default=1.0, help="of a turn; default: 1")
    add("--limit-gib", type=float, default=1.0, help="memory of the cold case; default: 1")
    add("--file-gib", type=float, default=6.0, help="of the cold case; default: 6")
    add("--json", type=command.Path, default=command.RESULTS / "scaling.json")
    add("--keep", action="store_true", help="keep the cold file")
    options = parser.parse_args()
    description = command.begin(options, options.data)
    results, found = {}, []
    for name in options.cases:
        workload = WORKLOADS.get(name, _COLD)
        if workload is _COLD:
            rows = int(options.file_gib * 2**30) // workload.row_bytes
            workload = dataclasses.replace(workload, rows=rows)
        path = make_file(workload, options.data.resolve())
        case = Case(workload, path, _CASES[name], cold=name == "cold")
        results[case.name] = samples = _measure(case, options)
        _print(case.name, samples)
        found += _targets(case.name, samples)
        if case.cold and not options.keep:
            path.unlink()
    report.console().print(targets.table(found))
    content = {"benchmark": "scaling", "machine": description, "results": results}
    content["targets"] = [each.as_json() for each in found]
    report.write_json(content, options.json)
    return 0


def _counts(cpus: int) -> list[str]:
    """CPUs and threads: powers of two up to all CPUs, and all with eight times as many threads."""
    some = [1 << power for power in range(cpus.bit_length()) if 1 << power < cpus]
    return [*(f"{count}:{count}" for count in (*some, cpus)), f"{cpus}:{8 * cpus}"]


def _count(text: str) -> str:
    cpus, threads = map(int, text.split(":"))
    return f"{cpus}:{threads}"


def _measure(case: Case, options: Any) -> dict[str, list[tuple[float, float]]]:
    """Rows a second and microseconds of CPU a row, a sample a round, by CPUs and threads."""
    from cold.disk import drop_pages
    from cold.process import run

    limit = int(options.limit_gib * 2**30) if case.cold else None
    prepare = drop_pages if case.cold else read_into_page_cache
    samples: dict[str, list[tuple[float, float]]] = {each: [] for each in options.counts}
    for number in range(options.rounds):
        for count in shuffled(options.counts, number):
            cpus, threads = map(int, count.split(":"))
            own = dataclasses.replace(case, seed=number, threads=threads)
            task = (_rate, own, cpus, options.seconds)
            outcome = run(limit, 60 + options.seconds, lambda: prepare(case.path), *task)
            if outcome.problem:
                raise RuntimeError(f"{case.name}, {count}: {outcome.problem}")
            samples[count].append(outcome.result)
    return samples


def _rate(ready: Callable[[], None], case: Case, cpus: int, seconds: float) -> tuple[float, float]:
    from cold.tasks import cpu_seconds

    import npyfast

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    ready()
    options = {"shuffle": True, "seed": case.seed, "epochs": -1, "threads": case.threads}
    batches = iter(npyfast.batches(case.path, case.batch, **options))
    # Batches of small rows take a microsecond or two: the clock is read every 16.
    deadline = time.perf_counter() + _FREE
    while time.perf_counter() < deadline:
        for _ in range(16):
            next(batches)
    begin, cpu, rows = time.perf_counter(), cpu_seconds(), 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        for _ in range(16):
            rows += len(next(batches))
    return rows / elapsed, (cpu_seconds() - cpu) / rows * 1e6


def _print(name: str, samples: dict[str, list[tuple[float, float]]]) -> None:
    table = report.table(
        f"{name}: medians (minimum to maximum)", ["CPUs:threads", "rows/s", "CPU, µs a row"]
    )
    for count, each in samples.items():
        columns = zip(*each, strict=True)
        table.add_row(count, *(f"{digits(statistics.median(c))} ({spread(c)})" for c in columns))
    report.console().print(table)


def _targets(name: str, samples: dict[str, list[tuple[float, float]]]) -> list[targets.Target]:
    """More threads than CPUs cost no more than a tenth."""
    rates = {count: statistics.median(rate for rate, _ in each) for count, each in samples.items()}
    found = []
    for count, rate in rates.items():
        cpus, threads = map(int, count.split(":"))
        if threads > cpus and f"{cpus}:{cpus}" in rates:
            slower = rates[f"{cpus}:{cpus}"] / rate
            what = f"{threads} threads on {cpus} CPUs, times as slow as {cpus}"
            found.append(targets.Target(what, name, 1.1, False, slower))
    return found


if __name__ == "__main__":
    sys.exit(main())
