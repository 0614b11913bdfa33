"""What it costs to have bytes as floats: cast while they are gathered, and by others.

    python benchmarks/cast.py
    python benchmarks/cast.py --check

Prints microseconds a batch, ratios and the project's targets; README.md beside this file says
what each contender does.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import machine
import measure
import npyfast_build
import numpy as np
import report
from check import sorted_rows
from contenders import Contender, Settings
from contenders.casting import CASTING
from targets import Target
from tqdm import tqdm
from workloads import WORKLOADS, Case, make_file

_HERE = Path(__file__).resolve().parent
_WORKLOADS = ("mnist", "img")
_BATCH = 32
_CHECKED_ROWS = 1000


@dataclasses.dataclass(frozen=True)
class _WithinSum(Target):
    """`slow` takes at most `limit` times as long as all of `fast` together."""

    def measured(self, medians: dict[tuple[str, str], float]) -> float | None:
        parts = [medians.get((key, self.case)) for key in (self.slow, *self.fast)]
        known = [part for part in parts if part is not None]
        return known[0] / sum(known[1:]) if len(known) == len(parts) else None


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    contenders = [each(Settings(threads=options.threads)) for each in CASTING]
    if options.check:
        return _check(contenders)
    refusal = npyfast_build.refusal(allow_numpy_backend=options.allow_numpy_backend)
    if refusal is not None:
        print(refusal, file=sys.stderr)
        return 2
    description = machine.describe(options.data)
    description["npyfast"] = npyfast_build.describe()
    console = report.console()
    for line in machine.summary(description):
        console.print(line, highlight=False, markup=False)
    workloads = [WORKLOADS[name].scaled(options.scale) for name in _WORKLOADS]
    cases = [Case(each, make_file(each, options.data), _BATCH) for each in workloads]
    schedule = measure.Schedule(rounds=options.rounds, seconds=options.seconds)
    with tqdm(total=measure.turns(cases, contenders, schedule), unit="turn") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        results = measure.measure(cases, contenders, schedule, progress)
    if options.scale < 1:
        console.print("Shortened files (--scale): a trial of the benchmark, nothing to quote.")
    console.print(report.time_table(results, contenders, cases))
    for baseline in contenders:
        if baseline.key in ("dataset-map", "numpy-cast"):
            console.print(report.ratio_table(baseline, results, contenders, cases))
    wanted = list(_targets(cases))
    console.print(report.target_table(wanted, results))
    content = report.as_json(description, schedule, contenders, cases, results, wanted)
    report.write_json({**content, "benchmark": "cast"}, options.json)
    console.print(f"Written: {options.json}", highlight=False, markup=False)
    failures = [each for each in results if each.failed]
    for failure in failures:
        print(f"{failure.case}, {failure.contender}: {failure.problem}", file=sys.stderr)
    return 1 if failures else 0


def _targets(cases: Sequence[Case]) -> Iterator[Target]:
    for name, slow in (
        ("dataset vs map", "dataset-map"),
        ("dataset vs from_tensor_slices and map", "from-tensor-slices-map"),
    ):
        for case in cases:
            yield Target(name, case.name, slow, ("dataset-cast",), 5.0, at_least=True)
    for case in cases:
        yield _WithinSum(
            "batches vs plain batches and the added traffic",
            case.name,
            "batches-cast",
            ("batches", "traffic"),
            1.3,
            at_least=False,
        )


def _check(contenders: Sequence[Contender]) -> int:
    """Whether each contender gives every row of a short file, as floats or as it is."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="npyfast-check-") as folder:
        for name in _WORKLOADS:
            small = dataclasses.replace(WORKLOADS[name], rows=_CHECKED_ROWS)
            case = Case(small, make_file(small, Path(folder)), _BATCH)
            expected = sorted_rows(np.load(case.path))
            for contender in contenders:
                if not contender.has_rows:
                    continue
                run = contender.open(case)
                got = np.concatenate(list(run.rows(_CHECKED_ROWS)))
                run.close()
                if got.dtype == np.float32:
                    # A product with 1/255 and a quotient by 255 differ in the last bit.
                    got = np.rint(got * 255).astype(np.uint8)
                right = np.array_equal(sorted_rows(got), expected)
                print(f"{'ok' if right else 'WRONG':6} {name:7} {contender.label}")
                wrong += not right
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Shuffled batches of bytes as floats, microseconds a batch.",
        epilog="Contenders: " + "; ".join(f"{each.key}: {each.label}" for each in CASTING),
    )
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender; default: 7")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn; default: 0.3")
    parser.add_argument(
        "--threads",
        type=int,
        default=machine.cpus(),
        help="that write the added bytes; default: the CPUs this process may use",
    )
    parser.add_argument(
        "--data", type=Path, default=_HERE / "data", help="folder of the data files"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="shorten the files, to try the benchmark out"
    )
    parser.add_argument("--json", type=Path, default=_HERE / "results" / "cast.json")
    parser.add_argument(
        "--allow-numpy-backend",
        action="store_true",
        help="measure npyfast without its native extension too",
    )
    parser.add_argument(
        "--check", action="store_true", help="only check that contenders yield the right rows"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
