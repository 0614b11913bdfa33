"""npyfast itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.contender import Contender, Loop, Run, UnavailableError
from harness.machine import engines
from harness.workloads import Case

from contenders.tensorflow_data import Pipeline

if TYPE_CHECKING:
    import tensorflow as tf


def options(case: Case) -> dict[str, Any]:
    return {
        "batch_size": case.batch, "shuffle": case.shuffle, "seed": case.seed, "epochs": -1,
    }  # fmt: skip


def made_ahead(batch_bytes: int) -> int:
    """As many batches as npyfast's threads make ahead, or some more."""
    return min(max((16 << 20) // batch_bytes, 16), 1024)


def _batches(case: Case) -> Run:
    import npyfast

    batches = npyfast.batches(case.path, **options(case))
    return Loop(lambda: iter(batches), ahead=made_ahead(case.batch_bytes))


def _dataset(case: Case, engine: str) -> tf.data.Dataset:
    import npyfast

    if engine not in engines():
        raise UnavailableError("not without the native backend")
    return npyfast.dataset(case.path, **options(case), engine=engine)


BATCHES = Contender(
    "batches",
    "npyfast.batches",
    "npyfast.batches(path, B, shuffle=True, seed=0, epochs=-1)",
    _batches,
    ("npyfast",),
)
GRAPH = Contender(
    "dataset-graph",
    "npyfast.dataset, graph",
    'npyfast.dataset(path, B, shuffle=True, seed=0, epochs=-1, engine="graph"): what users get by '
    "default",
    Pipeline(lambda case: _dataset(case, "graph"), lambda case: made_ahead(case.batch_bytes)),
    ("npyfast", "tensorflow"),
)
GENERATOR = Contender(
    "dataset-generator",
    "npyfast.dataset, generator",
    'npyfast.dataset(path, B, shuffle=True, seed=0, epochs=-1, engine="generator")',
    Pipeline(lambda case: _dataset(case, "generator"), lambda case: 256),
    ("npyfast", "tensorflow"),
)
