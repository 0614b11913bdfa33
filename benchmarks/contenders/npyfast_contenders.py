"""npyfast itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import npyfast_build
from workloads import Case

from contenders.base import Contender, IteratorRun, Run, UnavailableError
from contenders.tensorflow_data import DatasetContender

if TYPE_CHECKING:
    import tensorflow as tf


class NpyfastBatches(Contender):
    key = "batches"
    label = "npyfast.batches"
    does = "npyfast.batches(path, B, shuffle=True, seed=0, epochs=-1)"
    packages = ("npyfast",)

    def open(self, case: Case) -> Run:
        import npyfast

        batches = npyfast.batches(
            case.path, case.batch, shuffle=case.shuffle, seed=case.seed, epochs=-1
        )
        return IteratorRun(lambda: iter(batches), ahead=_made_ahead(case))


class NpyfastDataset(DatasetContender):
    """npyfast.dataset by one of its engines."""

    packages = ("npyfast", "tensorflow")
    engine: ClassVar[str]

    def dataset(self, case: Case) -> tf.data.Dataset:
        import npyfast

        if self.engine not in npyfast_build.engines():
            raise UnavailableError("not without the native backend")
        return npyfast.dataset(
            case.path,
            case.batch,
            shuffle=case.shuffle,
            seed=case.seed,
            epochs=-1,
            engine=self.engine,
        )


class NpyfastGraph(NpyfastDataset):
    key = "dataset-graph"
    label = "npyfast.dataset, graph"
    does = (
        'npyfast.dataset(path, B, shuffle=True, seed=0, epochs=-1, engine="graph"): what users get '
        "by default"
    )
    engine = "graph"

    def ahead(self, case: Case) -> int:
        return _made_ahead(case)


class NpyfastGenerator(NpyfastDataset):
    key = "dataset-generator"
    label = "npyfast.dataset, generator"
    does = 'npyfast.dataset(path, B, shuffle=True, seed=0, epochs=-1, engine="generator")'
    engine = "generator"

    def ahead(self, case: Case) -> int:
        del case
        return 256


def _made_ahead(case: Case) -> int:
    """As many batches as npyfast's threads make ahead, or some more."""
    return min(max((16 << 20) // case.batch_bytes, 16), 1024)
