"""Who is measured: a contender, and in which order it reads."""

from __future__ import annotations

import dataclasses
from typing import Literal

from contenders import Contender
from contenders.ffcv_loader import Ffcv
from contenders.grain_dataset import Grain
from contenders.npyfast_contenders import NpyfastBatches, NpyfastGenerator, NpyfastGraph
from contenders.tensorflow_data import FromGenerator, FromTensorSlices
from contenders.torch_loader import TorchDataLoader, TorchDataLoaderWorkers

# What the device is asked for beside an entry: its speed is a share of that.
Access = Literal["random", "sequential"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of a table."""

    contender: type[Contender]
    shuffle: bool | Literal["block"] = True
    # FFCV compiles before its first batch. The clock of all others starts before they open the
    # file.
    from_first_batch: bool = False
    row_sizes: tuple[str, ...] | None = None  # only these

    @property
    def key(self) -> str:
        order = {True: "", False: "-sequential", "block": "-block"}[self.shuffle]
        return self.contender.key + order

    @property
    def label(self) -> str:
        order = {True: "", False: ", not shuffled", "block": ', "block"'}[self.shuffle]
        return self.contender.label + order

    @property
    def access(self) -> Access:
        return "random" if self.shuffle is True else "sequential"

    @property
    def ours(self) -> bool:
        return "npyfast" in self.contender.packages


ENTRIES: dict[str, Entry] = {
    entry.key: entry
    for entry in (
        Entry(NpyfastBatches),
        Entry(NpyfastGraph),
        Entry(NpyfastGenerator),
        Entry(FromGenerator),
        Entry(FromTensorSlices),
        Entry(TorchDataLoader),
        Entry(TorchDataLoaderWorkers),
        Entry(Grain),
        # Its writer takes a Python call a row, and a second file as large as the first.
        Entry(Ffcv, from_first_batch=True, row_sizes=("12KiB",)),
        Entry(NpyfastBatches, "block"),
        Entry(NpyfastGraph, "block"),
        Entry(NpyfastBatches, False),
        Entry(NpyfastGraph, False),
        Entry(FromGenerator, False),
    )
}
FITTING = ("batches", "dataset-graph")
