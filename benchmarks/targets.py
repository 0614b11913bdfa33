"""What npyfast promises of itself, as ratios within one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from measure import Result
from workloads import Case

_RAW_FROM_BYTES = 256 << 10
_FROM_GENERATOR = {
    "mnist/32": 4.0,
    "mnist/256": 2.5,
    "cifarf/32": 2.0,
    "cifarf/256": 2.0,
    "img/32": 4.0,
    "img/256": 4.0,
    "feat/32": 4.0,
    "feat/256": 2.5,
}


@dataclasses.dataclass(frozen=True)
class Target:
    """In `case`, `slow` takes at least (or at most) `limit` times as long as `fast`."""

    name: str
    case: str
    slow: str
    fast: str
    limit: float
    at_least: bool

    def measured(self, medians: dict[tuple[str, str], float]) -> float | None:
        """The ratio, or None where one of the two was not measured."""
        slow = medians.get((self.slow, self.case))
        fast = medians.get((self.fast, self.case))
        return None if slow is None or fast is None else slow / fast

    def met(self, ratio: float) -> bool:
        return ratio >= self.limit if self.at_least else ratio <= self.limit


def medians_of(results: Sequence[Result]) -> dict[tuple[str, str], float]:
    """Microseconds a batch by (contender, case)."""
    return {
        (result.contender, result.case): result.median
        for result in results
        if result.median is not None
    }


def targets(cases: Sequence[Case]) -> list[Target]:
    """The targets that apply to these cases."""
    found = []
    for case in cases:
        times = 1.5 if case.name == "feat/32" else 3.0
        for key, name in (("numpy-memmap", "memmap"), ("numpy-ram", "in RAM")):
            target = f"batches vs NumPy, {name}"
            found.append(Target(target, case.name, key, "batches", times, at_least=True))
    found += [
        Target("batches vs raw gather", case.name, "batches", "raw-gather", 1.4, at_least=False)
        for case in cases
        if case.batch_bytes >= _RAW_FROM_BYTES
    ]
    found += [
        Target(
            "dataset vs from_generator",
            case.name,
            "from-generator",
            "dataset-generator",
            _FROM_GENERATOR[case.name],
            at_least=True,
        )
        for case in cases
        if case.name in _FROM_GENERATOR
    ]
    return found
