"""npyfast itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workloads import Case

from contenders.base import Contender, IteratorRun, Run


class NpyfastBatches(Contender):
    key = "batches"
    label = "npyfast.batches"
    does = "npyfast.batches(path, B, shuffle=True, seed=0, epochs=-1)"
    packages = ("npyfast",)

    def open(self, case: Case) -> Run:
        import npyfast

        batches = npyfast.batches(case.path, case.batch, shuffle=True, seed=case.seed, epochs=-1)
        return IteratorRun(lambda: iter(batches), ahead=64)


class NpyfastDataset(Contender):
    key = "dataset-generator"
    label = "npyfast.dataset, generator"
    does = 'npyfast.dataset(path, B, shuffle=True, seed=0, epochs=-1, engine="generator")'
    packages = ("npyfast", "tensorflow")
    engine = "generator"

    def open(self, case: Case) -> Run:
        import npyfast

        dataset = npyfast.dataset(
            case.path, case.batch, shuffle=True, seed=case.seed, epochs=-1, engine=self.engine
        )

        def iterate() -> Iterator[Any]:
            return iter(dataset)

        return IteratorRun(iterate, ahead=256)
