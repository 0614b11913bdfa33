"""FFCV: a file format of its own, read by compiled loaders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from workloads import Case, Workload

from contenders.base import Array, Contender, IteratorRun, Run
from contenders.conversion import write_in_fresh_process


class Ffcv(Contender):
    key = "ffcv"
    label = "FFCV, RANDOM, os_cache"
    does = (
        "ffcv.Loader(order=RANDOM, os_cache=True, num_workers=threads) over a .beton file with an "
        "NDArrayField; a new iteration each epoch"
    )
    packages = ("ffcv", "torch")

    def converted(self, path: Path) -> Path:
        return path.with_suffix(".beton")

    def convert(self, workload: Workload, path: Path) -> None:
        write_in_fresh_process(_write, path, self.converted(path), workload.nbytes)

    def open(self, case: Case) -> Run:
        from ffcv.fields.decoders import NDArrayDecoder
        from ffcv.loader import Loader, OrderOption

        loader = Loader(
            str(self.converted(case.path)),
            batch_size=case.batch,
            num_workers=self.settings.threads,
            os_cache=True,
            order=OrderOption.RANDOM if case.shuffle else OrderOption.SEQUENTIAL,
            seed=case.seed,
            pipelines={"x": [NDArrayDecoder()]},
            drop_last=False,
        )
        running: list[Any] = []

        def stop() -> None:
            while running:
                running.pop().close()

        def iterate() -> Iterator[Any]:
            stop()
            iterator: Iterator[Any] = iter(loader)
            running.append(iterator)
            return iterator

        return IteratorRun(iterate, ahead=4, to_numpy=_first, on_close=stop)


def _first(batch: tuple[Array, ...]) -> Array:
    return batch[0]


class _Rows:
    """The array as FFCV's writer wants it: one tuple a row."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, row: int) -> tuple[Array]:
        return (np.asarray(self._array[row]),)


def _write(source: str, target: str) -> None:
    from ffcv.fields import NDArrayField
    from ffcv.writer import DatasetWriter

    array = np.load(source, mmap_mode="r")
    fields = {"x": NDArrayField(array.dtype, array.shape[1:])}
    DatasetWriter(target, fields, num_workers=1).from_indexed_dataset(_Rows(array), chunksize=1000)
