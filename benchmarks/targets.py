"""What npyfast promises of itself, as ratios within one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from measure import Result
from workloads import Case

# Below, what tf.data itself costs decides; from here on, the memory's speed.
_SMALL_BYTES = 32 << 10
_RAW_FROM_BYTES = 256 << 10
# Times as fast as from_tensor_slices, by workload.
_GRAPH_FROM_TENSOR_SLICES = {"mnist": 3.0, "cifarf": 1.5, "img": 1.5, "feat": 3.0}
# Times as fast as from_generator, by batch size, and for the generator engine by case.
_GRAPH_FROM_GENERATOR = {32: 4.0, 256: 3.0}
_GENERATOR_FROM_GENERATOR = {
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
    """In `case`, `slow` takes at least (or at most) `limit` times as long as the fastest of `fast`.

    Measured only where all of them were: the fastest of some might not be the fastest of all.
    """

    name: str
    case: str
    slow: str
    fast: tuple[str, ...]
    limit: float
    at_least: bool

    def measured(self, medians: dict[tuple[str, str], float]) -> float | None:
        """The ratio, or None where one of them was not measured."""
        slow = medians.get((self.slow, self.case))
        fast = [medians.get((key, self.case)) for key in self.fast]
        known = [each for each in fast if each is not None]
        return slow / min(known) if slow is not None and len(known) == len(fast) else None

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
    return [*_of_batches(cases), *_of_graph(cases), *_of_generator(cases)]


def _of_batches(cases: Sequence[Case]) -> Iterator[Target]:
    for case in cases:
        times = 1.5 if case.name == "feat/32" else 3.0
        yield _faster("batches vs NumPy, memmap", case, "batches", "numpy-memmap", times)
        yield _faster("batches vs NumPy, in RAM", case, "batches", "numpy-ram", times)
    for case in cases:
        if case.batch_bytes >= _RAW_FROM_BYTES:
            yield _within("batches vs raw gather", case, "batches", ("raw-gather",), 1.4)


def _of_graph(cases: Sequence[Case]) -> Iterator[Target]:
    own = "dataset-graph"
    for case in cases:
        if case.batch_bytes <= _SMALL_BYTES:
            # TensorFlow adds a prefetch to the one and, as to npyfast's dataset, none to the other.
            ranges = ("tf-range", "tf-range-no-prefetch")
            yield _within("graph vs the faster tf.data range", case, own, ranges, 1.25)
        if case.batch_bytes >= _RAW_FROM_BYTES:
            yield _within("graph vs raw gather", case, own, ("raw-gather",), 1.25)
    for case in cases:
        times = _GRAPH_FROM_TENSOR_SLICES[case.workload.name]
        yield _faster("graph vs from_tensor_slices", case, own, "from-tensor-slices", times)
    for case in cases:
        if case.batch in _GRAPH_FROM_GENERATOR:
            times = _GRAPH_FROM_GENERATOR[case.batch]
            yield _faster("graph vs from_generator", case, own, "from-generator", times)
    for case in cases:
        yield _faster("graph vs FFCV", case, own, "ffcv", 1.0)
    for case in cases:
        yield _faster("graph vs generator", case, own, "dataset-generator", 1.0)


def _of_generator(cases: Sequence[Case]) -> Iterator[Target]:
    for case in cases:
        if case.name in _GENERATOR_FROM_GENERATOR:
            times = _GENERATOR_FROM_GENERATOR[case.name]
            name = "generator vs from_generator"
            yield _faster(name, case, "dataset-generator", "from-generator", times)


def _faster(name: str, case: Case, own: str, other: str, times: float) -> Target:
    """`own` is at least so many times as fast as `other`."""
    return Target(name, case.name, other, (own,), times, at_least=True)


def _within(name: str, case: Case, own: str, floor: tuple[str, ...], times: float) -> Target:
    """`own` takes at most so many times as long as the fastest of `floor`."""
    return Target(name, case.name, own, floor, times, at_least=False)
