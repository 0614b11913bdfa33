"""Whether an endless shuffled run keeps its memory.

    python benchmarks/memory_flat.py --seconds 60

Iterates npyfast.batches for a while, then npyfast.dataset with each engine, and that once more with
a new iteration for each epoch, as model.fit does. Prints the process's anonymous memory over time,
and says whether it stayed flat: the second half's highest value is at most 4 MiB and two batches
above the highest of the quarter before it. The first quarter is for warming up.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import machine
import npyfast_build
from process_memory import anonymous_bytes
from workloads import WORKLOADS, Case, make_file

_HERE = Path(__file__).resolve().parent
_WHAT = (
    "batches",
    "dataset-graph",
    "dataset-graph-by-epoch",
    "dataset-generator",
    "dataset-generator-by-epoch",
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    refusal = npyfast_build.refusal(allow_numpy_backend=options.allow_numpy_backend)
    if refusal is not None:
        print(refusal, file=sys.stderr)
        return 2
    print("\n".join(machine.summary(machine.describe(options.data))))
    workload = WORKLOADS[options.workload]
    case = Case(workload, make_file(workload, options.data), options.batch)
    flat = True
    for what in options.what or _measurable():
        print(f"{what}, {case.name}, {options.seconds:.0f} s")
        samples = _watch(_endless(what, case), options.seconds)
        growth = _growth(samples)
        allowed = (4 << 20) + 2 * case.batch_bytes
        flat = flat and growth <= allowed
        print(
            f"{what}: {'flat' if growth <= allowed else 'NOT FLAT'}, grew by "
            f"{growth / 2**20:+.1f} MiB, {allowed / 2**20:.1f} allowed"
        )
    return 0 if flat else 1


def _measurable() -> list[str]:
    engines = npyfast_build.engines()
    return [what for what in _WHAT if what == "batches" or what.split("-")[1] in engines]


def _endless(what: str, case: Case) -> Iterator[Any]:
    import npyfast

    if what == "batches":
        return iter(npyfast.batches(case.path, case.batch, shuffle=True, seed=case.seed, epochs=-1))
    by_epoch = what.endswith("-by-epoch")
    dataset = npyfast.dataset(
        case.path,
        case.batch,
        shuffle=True,
        seed=case.seed,
        epochs=None if by_epoch else -1,
        engine=what.split("-")[1],
    )
    return itertools.chain.from_iterable(itertools.repeat(dataset)) if by_epoch else iter(dataset)


def _watch(batches: Iterator[Any], seconds: float) -> list[int]:
    """Takes batches for `seconds`; the anonymous memory at 40 points in time."""
    samples: list[int] = []
    begin = time.perf_counter()
    for count, _ in enumerate(batches, 1):
        elapsed = time.perf_counter() - begin
        if elapsed >= seconds * (len(samples) + 1) / 40:
            samples.append(anonymous_bytes())
            print(f"  {elapsed:6.1f} s {count:10,} batches {samples[-1] / 2**20:9.1f} MiB")
        if elapsed >= seconds:
            break
    return samples


def _growth(samples: Sequence[int]) -> int:
    """How far the second half's highest value is above the highest of the second quarter."""
    quarter, half = len(samples) // 4, len(samples) // 2
    return max(samples[half:]) - max(samples[quarter:half])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Watch the memory of an endless shuffled run.")
    parser.add_argument("--seconds", type=float, default=60, help="for each; default: 60")
    parser.add_argument("--what", nargs="+", choices=_WHAT, help="default: all")
    parser.add_argument("--workload", choices=list(WORKLOADS), default="cifarf")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--data", type=Path, default=_HERE / "data", help="folder of the file")
    parser.add_argument("--allow-numpy-backend", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
