"""What npyfast wants to reach, as ratios within one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.table import Table

from harness import report
from harness.workloads import Case

Medians = dict[tuple[str, str], float]  # microseconds a batch, by contender and case


@dataclasses.dataclass(frozen=True)
class Target:
    """A number and its limit; `measured` is None where nothing was."""

    name: str
    case: str
    limit: float
    at_least: bool
    measured: float | None

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "pass" if met else "miss"

    def as_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "verdict": self.verdict}


@dataclasses.dataclass(frozen=True)
class Rule:
    """A limit for the ratio of two times: `slow` to `fast`. `of` combines several of the latter."""

    name: str
    slow: str
    fast: tuple[str, ...]
    limit: Callable[[Case], float | None]  # None: not for this case
    at_least: bool = True
    of: Callable[[Iterable[float]], float] = min

    def target(self, case: Case, medians: Medians) -> Target | None:
        limit = self.limit(case)
        if limit is None:
            return None
        ratio = None
        # Only where all were measured: the fastest of some may not be the fastest of all.
        if all((key, case.name) in medians for key in (self.slow, *self.fast)):
            fast = self.of(medians[key, case.name] for key in self.fast)
            ratio = medians[self.slow, case.name] / fast
        return Target(self.name, case.name, limit, self.at_least, ratio)


def table(targets: Sequence[Target]) -> Table:
    made = report.table("Targets", ("target", "case", "wanted", "measured", "verdict"))
    for each in targets:
        wanted = f"{'≥' if each.at_least else '≤'} {each.limit:.2f}"
        measured = "" if each.measured is None else f"{each.measured:.2f}"
        style = {"miss": "bold", "not measured": "dim"}.get(each.verdict)
        made.add_row(each.name, each.case, wanted, measured, each.verdict, style=style)
    return made
