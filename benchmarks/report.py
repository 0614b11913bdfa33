"""Results as tables in a terminal, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contenders.base import Contender
from measure import Result, Schedule
from rich.console import Console
from rich.table import Table
from rich.text import Text
from targets import Target, medians_of
from workloads import Case

_WIDTH = 150


def console() -> Console:
    """Wide enough for the table, also where the output is a file."""
    found = Console()
    return found if found.is_terminal and found.width >= _WIDTH else Console(width=_WIDTH)


def time_table(
    results: Sequence[Result], contenders: Sequence[Contender], cases: Sequence[Case]
) -> Table:
    """Median microseconds a batch, with the minimum and maximum over the rounds below."""
    table = _table("Microseconds a batch: median (minimum to maximum)", cases)
    by_cell = {(result.contender, result.case): result for result in results}
    for contender in contenders:
        of_contender = [by_cell[contender.key, case.name] for case in cases]
        problems = {result.problem for result in of_contender}
        if len(problems) == 1 and None not in problems:
            table.add_row(Text(f"{contender.label}: {problems.pop()}"), style="dim")
        else:
            table.add_row(Text(contender.label), *map(_time, of_contender))
    return table


def ratio_table(
    baseline: Contender,
    results: Sequence[Result],
    contenders: Sequence[Contender],
    cases: Sequence[Case],
) -> Table:
    """How many times as fast as `baseline` each contender is that runs in the same kind of loop."""
    table = _table(f"Times as fast as {baseline.label}", cases)
    medians = medians_of(results)
    for contender in contenders:
        if contender.loop != baseline.loop:
            continue
        ratios = []
        for case in cases:
            own = medians.get((contender.key, case.name))
            base = medians.get((baseline.key, case.name))
            ratios.append(None if own is None or base is None else base / own)
        if any(ratio is not None for ratio in ratios):
            table.add_row(
                Text(contender.label), *["" if each is None else f"{each:.2f}" for each in ratios]
            )
    return table


def target_table(targets: Sequence[Target], results: Sequence[Result]) -> Table:
    """The project's targets, what was measured, and whether they were met."""
    table = Table(title="Targets", title_justify="left")
    for name in ("target", "case", "wanted", "measured", ""):
        table.add_column(name, justify="right" if name in ("wanted", "measured") else "left")
    medians = medians_of(results)
    for target in targets:
        ratio = target.measured(medians)
        wanted = f"{'≥' if target.at_least else '≤'} {target.limit:.2f}"
        if ratio is None:
            verdict, measured = "not measured", ""
        else:
            verdict, measured = ("pass" if target.met(ratio) else "miss"), f"{ratio:.2f}"
        style = {"miss": "bold", "not measured": "dim"}.get(verdict)
        table.add_row(target.name, target.case, wanted, measured, verdict, style=style)
    return table


def as_json(
    machine: dict[str, Any],
    schedule: Schedule,
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    results: Sequence[Result],
    targets: Sequence[Target],
) -> dict[str, Any]:
    """Everything that was measured, raw samples included."""
    medians = medians_of(results)
    return {
        "benchmark": "warm",
        "unit": "microseconds a batch, the mean of each turn",
        "machine": machine,
        "schedule": dataclasses.asdict(schedule),
        "contenders": [
            {"key": each.key, "label": each.label, "loop": each.loop, "does": each.does}
            for each in contenders
        ],
        "cases": [
            {
                "name": case.name,
                "shape": case.workload.shape,
                "dtype": case.workload.dtype.str,
                "batch": case.batch,
                "batch_bytes": case.batch_bytes,
            }
            for case in cases
        ],
        "results": [{**dataclasses.asdict(each), "median": each.median} for each in results],
        "targets": [
            {**dataclasses.asdict(each), "measured": each.measured(medians)} for each in targets
        ],
    }


def write_json(content: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def _table(title: str, cases: Sequence[Case]) -> Table:
    # Text, here and for labels: rich would take the brackets in them for markup.
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    for case in cases:
        table.add_column(case.name, justify="right")
    return table


def _time(result: Result) -> Text:
    if result.median is None:
        return Text(result.problem or "", style="dim")
    low, high = min(result.samples), max(result.samples)
    text = Text(_digits(result.median))
    return text.append(f"\n({_digits(low)} to {_digits(high)})", style="dim")


def _digits(value: float) -> str:
    """Three digits that mean something: 0.44, 8.92, 55.1, 722, 13,646."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
