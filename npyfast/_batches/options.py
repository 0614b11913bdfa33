"""The options that `npyfast.dataset` and `npyfast.batches` share."""

from __future__ import annotations

from dataclasses import dataclass

from npyfast._batches.transform import Transform, check_parameters
from npyfast._errors import shown
from npyfast._options import (
    Readahead,
    integer,
    make_batch_size,
    make_readahead,
    make_threads,
)
from npyfast._order.plan import Shard
from npyfast._order.selection import RowChoice
from npyfast._order.shuffle import Shuffle, check_shuffle


@dataclass(frozen=True)
class Options:
    """The options as given. Those that do not depend on the source are checked."""

    batch_size: int
    shuffle: Shuffle
    seed: int | None
    epochs: int | None
    drop_remainder: bool
    shard: Shard
    rows: RowChoice
    transform: Transform | None
    transform_threads: int
    start_epoch: int
    start_batch: int
    threads: int | None
    readahead: Readahead

    def __post_init__(self) -> None:
        given: object = self.transform
        make_batch_size(self.batch_size)
        check_shuffle(self.shuffle)
        make_threads(self.threads)
        make_readahead(self.readahead)
        if given is not None and not callable(given):
            raise ValueError(f"transform must be None or a function, got {shown(given)}")
        if self.transform is not None:
            check_parameters(self.transform)
        transformers = integer("transform_threads", self.transform_threads, 1, 2**15)
        if transformers > 1 and given is None:
            raise ValueError(
                f"transform_threads={self.transform_threads} needs a transform; npyfast's own "
                "threads are the option threads"
            )
        object.__setattr__(self, "transform_threads", transformers)
