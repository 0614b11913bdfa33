"""Shuffled batches from files in the page cache: npyfast and others, side by side in one run.

    python benchmarks/warm.py
    python benchmarks/warm.py --workloads mnist --contenders batches,numpy-ram --rounds 9

Prints microseconds a batch, ratios and the project's targets; README.md beside this file says
what each contender does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# Before anything imports TensorFlow: its start-up messages would tear the progress bar apart.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import machine
import measure
import npyfast_build
import plot
import report
from check import check
from contenders import CONTENDERS, Contender, Settings
from targets import targets
from tqdm import tqdm
from workloads import BATCHES, WORKLOADS, Case, Workload, clean, make_file

_HERE = Path(__file__).resolve().parent
_BASELINES = (
    "numpy-ram",
    "from-generator",
    "from-tensor-slices",
    "from-tensor-slices-in-function",
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.clean:
        for path in clean(options.data):
            print(f"deleted {path}")
        return 0
    settings = Settings(threads=options.threads, raw_gather=options.raw_gather)
    contenders = [each(settings) for each in CONTENDERS if each.key in options.contenders]
    workloads = [WORKLOADS[name].scaled(options.scale) for name in options.workloads]
    if options.check:
        return _check(workloads, contenders)
    if any("npyfast" in each.packages for each in contenders):
        refusal = npyfast_build.refusal(allow_numpy_backend=options.allow_numpy_backend)
        if refusal is not None:
            print(refusal, file=sys.stderr)
            return 2
    return _measure(options, workloads, contenders)


def _measure(
    options: argparse.Namespace, workloads: Sequence[Workload], contenders: Sequence[Contender]
) -> int:
    # TensorFlow, torch and several copies of the data are in memory at once.
    needed = 6 * max(workload.nbytes for workload in workloads) + (2 << 30)
    if machine.available_memory() < needed:
        print(
            f"{machine.available_memory() / 1e9:.1f} GB of memory are available, these workloads "
            f"need {needed / 1e9:.1f}: leave the largest out with --workloads",
            file=sys.stderr,
        )
        return 2
    description = machine.describe(options.data)
    description["npyfast"] = npyfast_build.describe()
    console = report.console()
    for line in machine.summary(description):
        console.print(line, highlight=False, markup=False)
    cases = [
        Case(workload, make_file(workload, options.data), batch)
        for workload in workloads
        for batch in options.batches
    ]
    schedule = measure.Schedule(rounds=options.rounds, seconds=options.seconds)
    with tqdm(total=measure.turns(cases, contenders, schedule), unit="turn") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        results = measure.measure(cases, contenders, schedule, progress)
    if options.scale < 1:
        console.print("Shortened files (--scale): a trial of the benchmark, nothing to quote.")
    console.print(report.time_table(results, contenders, cases))
    for key in options.baselines:
        for baseline in contenders:
            if baseline.key == key:
                console.print(report.ratio_table(baseline, results, contenders, cases))
    wanted = targets(cases)
    console.print(report.target_table(wanted, results))
    content = report.as_json(description, schedule, contenders, cases, results, wanted)
    report.write_json(content, options.json)
    plot.draw(content, options.plot)
    console.print(f"Written: {options.json} and {options.plot}", highlight=False, markup=False)
    failures = [each for each in results if each.failed]
    for failure in failures:
        print(f"{failure.case}, {failure.contender}: {failure.problem}", file=sys.stderr)
    return 1 if failures else 0


def _check(workloads: Sequence[Workload], contenders: Sequence[Contender]) -> int:
    wrong = 0
    for workload, contender, found, right in check(workloads, contenders):
        verdict = {True: "ok", False: "WRONG", None: "-"}[right]
        print(f"{verdict:6} {workload.name:7} {contender.label:40} {found}")
        wrong += right is False
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    keys = [each.key for each in CONTENDERS]
    parser = argparse.ArgumentParser(
        description="Shuffled batches from files in the page cache, microseconds a batch.",
        epilog="Contenders: " + "; ".join(f"{each.key}: {each.label}" for each in CONTENDERS),
    )
    several = "comma-separated; default: all"
    parser.add_argument(
        "--workloads", type=_several(list(WORKLOADS)), default=list(WORKLOADS), help=several
    )
    parser.add_argument(
        "--batches",
        type=lambda text: [int(each) for each in text.split(",")],
        default=list(BATCHES),
        help="batch sizes, comma-separated; default: 32,256",
    )
    parser.add_argument("--contenders", type=_several(keys), default=keys, help=several)
    parser.add_argument(
        "--baselines",
        type=_several(keys),
        default=list(_BASELINES),
        help=f"contenders to print ratios to; default: {','.join(_BASELINES)}",
    )
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender; default: 7")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn; default: 0.3")
    parser.add_argument(
        "--threads",
        type=int,
        default=machine.cpus(),
        help="of the raw gather and of FFCV; default: the CPUs this process may use",
    )
    parser.add_argument(
        "--data", type=Path, default=_HERE / "data", help="folder of the data files"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="shorten the files, to try the benchmark out"
    )
    parser.add_argument(
        "--raw-gather", type=Path, help="the program raw_gather; default: built by cmake"
    )
    parser.add_argument("--json", type=Path, default=_HERE / "results" / "warm.json")
    parser.add_argument("--plot", type=Path, default=_HERE / "results" / "warm.png")
    parser.add_argument(
        "--allow-numpy-backend",
        action="store_true",
        help="measure npyfast without its native extension too",
    )
    parser.add_argument(
        "--check", action="store_true", help="only check that contenders yield the right rows"
    )
    parser.add_argument("--clean", action="store_true", help="only delete the data files")
    return parser


def _several(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        values = text.split(",")
        for value in values:
            if value not in allowed:
                raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(allowed)}")
        return values

    return parse


if __name__ == "__main__":
    sys.exit(main())
