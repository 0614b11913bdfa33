"""Contenders side by side in one run: microseconds a batch, ratios, targets; tables and JSON."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from harness import command, machine, report, targets
from harness.contender import Contender
from harness.targets import Medians, Rule
from harness.turns import Result, Schedule, measure
from harness.workloads import Case, Workload, make_file


def add_options(parser: argparse.ArgumentParser, json: Path) -> None:
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="turns of each contender; default: 7")
    add("--seconds", type=float, default=0.5, help="of a turn, at least; default: 0.5")
    add("--min-batches", type=int, default=200, help="of a turn, at least; default: 200")
    add("--threads", type=int, default=machine.cpus(), help="of contenders that must be told")
    add("--scale", type=float, default=1.0, help="shorten the files, for a trial")
    add("--json", type=Path, default=json)


def run(
    name: str,
    options: argparse.Namespace,
    contenders: Sequence[Contender],
    workloads: Sequence[tuple[Workload, int]],
    rules: Sequence[Rule],
    baselines: Sequence[str],
) -> tuple[int, dict[str, Any]]:
    """Measures, prints, and writes the JSON; returns the exit status and what was written."""
    description = command.begin(options, options.data)
    if description is None:
        return 2, {}
    schedule = Schedule(options.rounds, options.seconds, options.min_batches)
    cases = [
        Case(each, make_file(each, options.data), batch, threads=options.threads)
        for each, batch in workloads
    ]
    results = []
    with tqdm(total=len(cases) * len(contenders) * (schedule.rounds + 1), unit="turn") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        for case in cases:
            results += measure(case, contenders, schedule, progress)
    medians = {(each.contender, each.case): each.median for each in results if each.median}
    wanted = [target for rule in rules for target in rule.targets(cases, medians)]
    _print(options, results, medians, contenders, cases, baselines)
    report.console().print(targets.table(wanted))
    content = {
        "benchmark": name,
        "unit": "microseconds a batch, the mean of each turn",
        "machine": description,
        "schedule": dataclasses.asdict(schedule),
        "contenders": [
            {field: getattr(each, field) for field in ("key", "label", "loop", "does")}
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
        "targets": [each.as_json() for each in wanted],
    }
    report.write_json(content, options.json)
    print(f"Written: {options.json}")
    return int(any(each.failed for each in results)), content


def _print(
    options: argparse.Namespace,
    results: Sequence[Result],
    medians: Medians,
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    baselines: Sequence[str],
) -> None:
    console = report.console()
    if options.scale < 1:
        console.print("Shortened files (--scale): a trial of the benchmark, nothing to quote.")
    console.print(_time_table(results, contenders, cases))
    for baseline in contenders:
        if baseline.key in baselines:
            console.print(_ratio_table(baseline, medians, contenders, cases))
    for each in results:
        if each.failed:
            print(f"{each.case}, {each.contender}: {each.problem}", file=sys.stderr)


def _time_table(
    results: Sequence[Result], contenders: Sequence[Contender], cases: Sequence[Case]
) -> Table:
    """Medians, with the minimum and maximum over the rounds below."""
    title = "Microseconds a batch: median (minimum to maximum)"
    table = report.table(title, ["", *(case.name for case in cases)])
    for contender in contenders:
        own = [each for each in results if each.contender == contender.key]
        problems = {each.problem for each in own}
        if len(problems) == 1 and None not in problems:
            table.add_row(Text(f"{contender.label}: {problems.pop()}"), style="dim")
        else:
            table.add_row(Text(contender.label), *map(_time, own))
    return table


def _time(result: Result) -> Text:
    if result.median is None:
        return Text(result.problem or "", style="dim")
    text = Text(report.digits(result.median))
    return text.append(f"\n({report.spread(result.samples)})", style="dim")


def _ratio_table(
    baseline: Contender, medians: Medians, contenders: Sequence[Contender], cases: Sequence[Case]
) -> Table:
    """How many times as fast as `baseline` those are that run in the same kind of loop."""
    table = report.table(f"Times as fast as {baseline.label}", ["", *(case.name for case in cases)])
    for contender in contenders:
        keys = [((contender.key, case.name), (baseline.key, case.name)) for case in cases]
        ratios = [
            f"{medians[base] / medians[own]:.2f}" if own in medians and base in medians else ""
            for own, base in keys
        ]
        if contender.loop == baseline.loop and any(ratios):
            table.add_row(Text(contender.label), *ratios)
    return table
