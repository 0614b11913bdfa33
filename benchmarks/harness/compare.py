"""Contenders side by side in one run: microseconds a batch, ratios, targets; tables and JSON."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from rich.text import Text
from tqdm import tqdm

from harness import command, report
from harness.contender import CONTENDERS, Contender
from harness.targets import Medians, Rule
from harness.turns import Result, Schedule, measure
from harness.workloads import Case, Workload, make_file


def parser(description: str | None, keys: Sequence[str], name: str) -> argparse.ArgumentParser:
    made = command.parser(description)
    command.add_contenders(made, keys, name)
    add = made.add_argument
    add("--rounds", type=int, default=7, help="turns of each contender; default: 7")
    add("--seconds", type=float, default=0.5, help="of a turn, at least; default: 0.5")
    add("--min-batches", type=int, default=200, help="of a turn, at least; default: 200")
    add("--scale", type=float, default=1.0, help="shorten the files, for a trial")
    return made


def run(
    name: str,
    options: argparse.Namespace,
    workloads: Sequence[tuple[Workload, int]],
    rules: Sequence[Rule],
    baselines: Sequence[str],
) -> int:
    """Measures, prints, and writes the JSON; returns the exit status."""
    description = command.begin(options, options.data)
    contenders = [CONTENDERS[key] for key in options.contenders]
    schedule = Schedule(options.rounds, options.seconds, options.min_batches)
    cases = [Case(each, make_file(each, options.data), batch) for each, batch in workloads]
    results = []
    with tqdm(total=len(cases) * len(contenders) * (schedule.rounds + 1), unit="turn") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        for case in cases:
            results += measure(case, contenders, schedule, progress)
    if options.scale < 1:
        print("Shortened files (--scale): a trial of the benchmark, nothing to quote.")
    _print(results, contenders, cases, baselines)
    content = {
        "benchmark": name,
        "unit": "microseconds a batch, the mean of each turn",
        "machine": description,
        "schedule": dataclasses.asdict(schedule),
        "contenders": [
            {field: getattr(each, field) for field in ("key", "label", "loop")}
            for each in contenders
        ],
        "cases": [
            {
                "name": case.name,
                "shape": case.workload.shape,
                "dtype": case.workload.dtype,
                "batch": case.batch,
                "batch_bytes": case.batch_bytes,
            }
            for case in cases
        ],
        "results": [{**dataclasses.asdict(each), "median": each.median} for each in results],
    }
    medians = _medians(results)
    found = [rule.target(case, medians) for rule in rules for case in cases]
    command.finish(options, content, [each for each in found if each is not None])
    return int(any(each.failed for each in results))


def _medians(results: Sequence[Result]) -> Medians:
    return {(each.contender, each.case): each.median for each in results if each.median}


def _print(
    results: Sequence[Result],
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    baselines: Sequence[str],
) -> None:
    """Medians, with the minimum and maximum over the rounds; then ratios to each baseline."""
    console = report.console()
    columns = ["", *(case.name for case in cases)]
    table = report.table("Microseconds a batch: median (minimum to maximum)", columns)
    for contender in contenders:
        own = [each for each in results if each.contender == contender.key]
        problems = {each.problem for each in own}
        if len(problems) == 1 and None not in problems:
            table.add_row(f"{contender.label}: {problems.pop()}", style="dim")
        else:
            table.add_row(contender.label, *map(_time, own))
    console.print(table)
    medians = _medians(results)
    for baseline in (each for each in contenders if each.key in baselines):
        table = report.table(f"Times as fast as {baseline.label}", columns)
        for contender in contenders:
            pairs = [((contender.key, case.name), (baseline.key, case.name)) for case in cases]
            ratios = [
                f"{medians[base] / medians[own]:.2f}" if {own, base} <= medians.keys() else ""
                for own, base in pairs
            ]
            if contender.loop == baseline.loop and any(ratios):
                table.add_row(contender.label, *ratios)
        console.print(table)
    for each in results:
        if each.failed:
            print(f"{each.case}, {each.contender}: {each.problem}", file=sys.stderr)


def _time(result: Result) -> Text:
    if result.median is None:
        return Text(result.problem or "", style="dim")
    text = Text(report.digits(result.median))
    return text.append(f"\n({report.spread(result.samples)})", style="dim")
