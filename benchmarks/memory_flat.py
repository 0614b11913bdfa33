"""Whether memory stays flat in an endless shuffled run.

    python benchmarks/memory_flat.py --seconds 60

README.md in this folder describes the method.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

from harness import command, machine
from harness.workloads import WORKLOADS, Case, make_file

_BY_EPOCH = "-by-epoch"
_WHAT = ("batches", *(f"dataset-{e}{by}" for e in ("graph", "generator") for by in ("", _BY_EPOCH)))


def main() -> int:
    parser = command.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each; default: 60")
    parser.add_argument("--what", nargs="+", choices=_WHAT, default=_WHAT, help="default: all")
    parser.add_argument("--workload", choices=list(WORKLOADS), default="cifarf")
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    command.begin(options, options.data)
    workload = WORKLOADS[options.workload]
    case = Case(workload, make_file(workload, options.data), options.batch)
    allowed = (4 << 20) + 2 * case.batch_bytes
    flat = True
    for what in options.what:
        if what == "batches" or what.split("-")[1] in machine.engines():
            print(f"{what}, {case.name}, {options.seconds:.0f} s")
            samples = _watch(_endless(what, case), options.seconds)
            quarter, half = len(samples) // 4, len(samples) // 2
            growth = max(samples[half:]) - max(samples[quarter:half])
            verdict = "flat" if growth <= allowed else "NOT FLAT"
            flat = flat and growth <= allowed
            grew, limit = growth / 2**20, allowed / 2**20
            print(f"{what}: {verdict}, grew by {grew:+.1f} MiB, {limit:.1f} allowed")
    return 0 if flat else 1


def _endless(what: str, case: Case) -> Iterator[Any]:
    import npyfast

    by_epoch = what.endswith(_BY_EPOCH)
    options = {"shuffle": True, "seed": 0, "epochs": None if by_epoch else -1}
    if what == "batches":
        return iter(npyfast.batches(case.path, case.batch, **options))
    dataset = npyfast.dataset(case.path, case.batch, engine=what.split("-")[1], **options)
    return itertools.chain.from_iterable(itertools.repeat(dataset)) if by_epoch else iter(dataset)


def _watch(batches: Iterator[Any], seconds: float) -> list[int]:
    """Takes batches for `seconds`; the anonymous memory at 40 points in time."""
    samples: list[int] = []
    begin = time.perf_counter()
    for count, _ in enumerate(batches, 1):
        elapsed = time.perf_counter() - begin
        if elapsed >= seconds * (len(samples) + 1) / 40:
            samples.append(machine.anonymous_bytes())
            print(f"  {elapsed:6.1f} s {count:10,} batches {samples[-1] / 2**20:9.1f} MiB")
        if elapsed >= seconds:
            break
    return samples


if __name__ == "__main__":
    sys.exit(main())
