"""torch's DataLoader over a memory map, in this process or with workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from workloads import Case

from contenders.base import Array, Contender, IteratorRun, Run, load

if TYPE_CHECKING:
    import torch


class TorchDataLoader(Contender):
    key = "torch"
    label = "torch DataLoader, memmap, 0 workers"
    does = (
        "torch.utils.data.DataLoader(shuffle=True, num_workers=0) over a dataset whose "
        "__getitems__ returns torch.from_numpy(memmap[indices]); a new iteration each epoch"
    )
    packages = ("torch",)
    workers: ClassVar[int] = 0

    def open(self, case: Case) -> Run:
        import torch
        from torch.utils.data import DataLoader

        torch.manual_seed(case.seed)
        loader: DataLoader[Any] = DataLoader(
            _Rows(load(case.path, mapped=True, cold=case.cold)),  # type: ignore[arg-type]
            batch_size=case.batch,
            shuffle=bool(case.shuffle),
            num_workers=self.workers,
            collate_fn=_as_it_is,  # type: ignore[arg-type]
        )

        def iterate() -> Iterator[Any]:
            return iter(loader)

        return IteratorRun(iterate)


class TorchDataLoaderWorkers(TorchDataLoader):
    key = "torch-8"
    label = "torch DataLoader, memmap, 8 workers"
    does = "the same with num_workers=8"
    workers = 8


class _Rows:
    def __init__(self, array: Array) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        import torch

        return torch.from_numpy(self._array[indices])


def _as_it_is(batch: torch.Tensor) -> torch.Tensor:
    return batch
