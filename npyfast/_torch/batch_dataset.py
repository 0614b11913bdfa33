"""The dataset that `npyfast.torch_dataset` returns. Imports PyTorch."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from npyfast._batches.batching import Batching, check_blocks, make_batching
from npyfast._batches.description import batches_and_order
from npyfast._batches.iterator import Iterations, StreamIterator
from npyfast._batches.options import Options
from npyfast._batches.state import State, digest, make_state, place_of
from npyfast._batches.statistics import Statistics, of_counters
from npyfast._nest import Nest, map_nest
from npyfast._options import integer
from npyfast._order.plan import Run, make_shard
from npyfast._order.shuffle import BlockShuffle
from npyfast._sources.source import source
from npyfast._torch.passes import Passes, Worker
from npyfast._torch.strided import Strided, converted
from npyfast._torch.tensors import check_types, tensors, transformed_tensors


class TensorIterator(StreamIterator):
    """A pass over a dataset, in a process or one of its workers, whose place torchdata saves."""

    def __init__(
        self,
        iterations: Iterations,
        begin: Callable[..., Any],
        run: Run,
        first: int,
        at_epoch: Callable[[int], None],
    ) -> None:
        super().__init__(iterations, functools.partial(begin, first=first), run)
        # A state of a worker is the place of the worker's own next batch.
        self._begin = functools.partial(begin, first=0)
        self._at_epoch = at_epoch

    def state_dict(self) -> State:
        """The place of the next batch."""
        return self.get_state()

    def load_state_dict(self, state: State) -> None:
        """Continues at a place."""
        self.set_state(state)
        if self._iterations.endless_epochs:
            self._at_epoch(self._current[0].start_epoch)

    def has_more(self) -> bool:
        run, delivered = self._progress()
        return delivered != run.batches(self._iterations.plan)


class TorchBatches(IterableDataset[Any]):  # type: ignore[misc]  # unknown without PyTorch
    """Batches of tensors; made by `npyfast.torch_dataset`."""

    _delivery = "as tensors of PyTorch"  # for npyfast.describe

    def __init__(self, source: Nest, options: Options) -> None:
        super().__init__()
        self._source = source
        self._options = options
        self._batching = make_batching(source, options)
        if self._batching.transform is None:
            check_types(self._batching.structure)
        counted = self._batching.endless_epochs
        self._passes = Passes(self._batching.run.start_epoch if counted else None)
        self._has_seed = options.seed is not None or not options.shuffle
        self._sent_shard: tuple[int, int] | None = None  # by the process whose worker this is
        self._latest: Callable[[], TensorIterator | None] = _nothing

    def __iter__(self) -> TensorIterator:
        worker = _worker()
        batching = self._divided()
        iterations = self._iterations(batching)
        place = self._passes.begin(worker)
        run = batching.run if place is None else iterations.run_from(*place)
        if run.start_batch > batching.plan.batches:  # which depends on the number of processes
            raise ValueError(
                f"start_batch={run.start_batch} is beyond the {batching.plan.batches} batches of "
                "an epoch"
            )
        iterator = TensorIterator(
            iterations,
            functools.partial(_begin, batching, worker),
            run,
            0 if worker is None else worker.id,
            lambda epoch: self._passes.set_next((epoch + 1, 0), worker),
        )
        self._latest = weakref.ref(iterator)
        return iterator

    def __len__(self) -> int:
        """The number of batches of one pass. Raises TypeError if it is endless."""
        batching = self._divided()
        count = batching.run.batches(batching.plan)
        if count < 0:
            raise TypeError("batches with epochs=-1 are endless: they have no len()")
        return max(0, count)

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Makes the next pass that epoch, beginning at that batch. The one after it is the next
        epoch, from its beginning.

        Without it, passes are the epochs `start_epoch`, `start_epoch + 1` and so on, with workers
        as without, so it is needed for another epoch only. Persistent workers see it, too.

        Args:
            epoch: at least 0.
            batch: how many batches of the epoch to leave out, at most all.

        Raises:
            ValueError: a number is out of range; the caller is a worker of a DataLoader; or the
                dataset has an explicit `epochs`, which makes all passes the same.
        """
        _check_no_worker("set_epoch")
        if not self._batching.endless_epochs:
            raise ValueError(
                f"set_epoch needs epochs=None: with epochs={self._options.epochs} every pass "
                "consists of the same epochs"
            )
        epoch = integer("epoch", epoch, 0, 2**62)
        batch = integer("batch", batch, 0, self._divided().plan.batches + 1)
        self._passes.set_next((epoch, batch))

    def state_dict(self) -> State:
        """The place in the pass under way, or else where the next one begins, as a small dict that
        JSON can hold; for loops without workers. With workers, which make batches before these are
        needed, take torchdata's `StatefulDataLoader` and its state.

        Raises:
            ValueError: workers make the batches of the latest pass.
        """
        if _worker() is not None:
            return {}  # the iterator has it
        if self._passes.are_begun_by_workers():
            raise ValueError(
                "the DataLoader has workers, which make batches ahead, so the dataset does not "
                "know which batch comes next: use torchdata's StatefulDataLoader and its "
                "state_dict(), or num_workers=0"
            )
        latest = self._latest()
        if latest is not None and latest.has_more():
            return latest.get_state()
        batching = self._divided()
        run = batching.run
        place = self._passes.next_place() or (run.start_epoch, run.start_batch)
        return make_state(self._iterations(batching).values(), *place)

    def load_state_dict(self, state: State) -> None:
        """Makes the next pass continue where the state was taken, by `state_dict()` of a dataset or
        an iterator, or by `BatchIterator.get_state()`.

        Raises:
            ValueError: as `BatchIterator.set_state`. The dataset is unchanged.
        """
        if state == {}:
            return
        _check_no_worker("load_state_dict")
        iterations = self._iterations(self._divided())
        epoch, batch = place_of(state, iterations.values())
        iterations.run_from(epoch, batch)
        if 0 < batch == iterations.plan.batches:
            epoch, batch = epoch + 1, 0
        self._passes.set_next((epoch, batch))

    @property
    def statistics(self) -> Statistics:
        """What all passes in this process have delivered so far, and how long they waited. What
        workers of a DataLoader deliver is not counted."""
        return of_counters(self._batching.counters.counters())

    @property
    def seed(self) -> int | None:
        """The seed of the order, drawn if none was given; None without shuffling."""
        return self._batching.plan.seed

    def __repr__(self) -> str:
        elements = map_nest(
            lambda column: f"{column.dtype}{list(column.shape)}", self._batching.structure
        )
        return f"<npyfast.torch_dataset: {batches_and_order(self._batching)}; each row {elements}>"

    def _shard(self) -> tuple[int, int]:
        """This process's shard. A worker has that of the process that started it."""
        if self._options.shard is not None:
            return make_shard(self._options.shard)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        if self._sent_shard is not None and _worker() is not None:
            return self._sent_shard
        return 0, 1

    def _divided(self) -> Batching:
        """The batches of this process's shard."""
        index, count = self._shard()
        plan = self._batching.plan
        if (index, count) == (plan.shard_index, plan.shard_count):
            return self._batching
        if not self._has_seed:
            raise ValueError(
                f"torch.distributed has {count} processes, whose shards fit together only if all "
                "have the same seed: pass seed=..., or shard=(0, 1) for all rows in each"
            )
        if plan.blocks is not None:
            check_blocks(self._options.shuffle, plan.blocks, self._batching.leaves)
        divided = replace(plan, shard_index=index, shard_count=count)
        return replace(self._batching, plan=divided)

    def _iterations(self, batching: Batching) -> Iterations:
        def values() -> Any:  # the shard is all that differs
            return {**self._batching.values, "workers": batching.plan.shard_count}

        # set_epoch may name any epoch.
        first = Run() if batching.endless_epochs else batching.run
        return Iterations(batching.plan, first, batching.endless_epochs, values)

    def __getstate__(self) -> dict[str, Any]:
        plan = self._batching.plan
        self._divided()  # raises what workers would raise
        shard = self._shard()
        options = self._options
        return {
            # A memory map would be pickled as all of its data.
            "source": map_nest(
                lambda leaf: source(leaf) if isinstance(leaf, np.memmap) else leaf, self._source
            ),
            # What was drawn or chosen is the same in a copy.
            "options": replace(
                options,
                seed=options.seed if plan.seed is None else plan.seed,
                shuffle=options.shuffle if plan.blocks is None else BlockShuffle(*plan.blocks),
                shard=None if options.shard is None else shard,
            ),
            "passes": self._passes,
            "has_seed": self._has_seed,
            "shard": shard,
            "digest": digest(self._batching.values),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        TorchBatches.__init__(self, state["source"], state["options"])
        if digest(self._batching.values) != state["digest"]:
            raise ValueError(
                "the files are not those that the dataset was made for: they were changed, or a "
                "pattern or directory has other files now"
            )
        self._passes = state["passes"]
        self._has_seed = state["has_seed"]
        self._sent_shard = state["shard"]


def _nothing() -> None:
    return None


def _worker() -> Worker | None:
    """This process as a worker of a DataLoader; None if it is none."""
    info = get_worker_info()
    return None if info is None else Worker(info.id, info.num_workers, info.seed - info.id)


def _check_no_worker(method: str) -> None:
    # Each worker would set the place of a pass that another has begun.
    if _worker() is not None:
        raise ValueError(
            f"{method} was called in a worker of a DataLoader: call it in the process that "
            "iterates over the DataLoader, before it does; the workers see it"
        )


def _begin(batching: Batching, worker: Worker | None, run: Run, first: int) -> Any:
    """The elements of a run that this process makes."""
    convert = tensors if batching.transform is None else transformed_tensors
    if worker is None or worker.workers == 1:
        return converted(batching, run, convert)
    return Strided(batching, run, first, worker.workers, convert)
