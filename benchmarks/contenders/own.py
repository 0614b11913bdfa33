"""npyfast itself."""

from __future__ import annotations

from typing import Any

from harness.contender import Lazy, Loop, Run, UnavailableError, contender
from harness.machine import engines
from harness.workloads import Case

from contenders.tensorflow_data import Dataset, pipeline

npyfast: Any = Lazy("npyfast")


def options(case: Case) -> dict[str, Any]:
    return {"batch_size": case.batch, "shuffle": case.shuffle, "seed": case.seed, "epochs": -1}


def made_ahead(batch_bytes: int) -> int:
    """As many batches as npyfast's threads make ahead, or some more."""
    return min(max((16 << 20) // batch_bytes, 16), 1024)


@contender("batches", "npyfast.batches", "npyfast")
def _batches(case: Case) -> Run:
    batches = npyfast.batches(case.path, **options(case))
    return Loop(lambda: iter(batches), ahead=made_ahead(case.batch_bytes))


@pipeline(
    "dataset-graph",
    "npyfast.dataset, graph",
    "npyfast",
    ahead=lambda case: made_ahead(case.batch_bytes),
)
def _graph(case: Case) -> Dataset:
    if "graph" not in engines():
        raise UnavailableError("not without the native backend")
    return npyfast.dataset(case.path, **options(case), engine="graph")


@pipeline("dataset-generator", "npyfast.dataset, generator", "npyfast", ahead=lambda case: 256)
def _generator(case: Case) -> Dataset:
    return npyfast.dataset(case.path, **options(case), engine="generator")
