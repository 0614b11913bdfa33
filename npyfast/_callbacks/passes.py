"""The passes that `fit` makes over a dataset, and where the next one begins."""

from __future__ import annotations

from typing import Any, Protocol

from npyfast._batches.next_place import TOLD, Told
from npyfast._batches.statistics import noted_below, statistics
from npyfast._errors import shown

_SEED = (
    "SetEpoch needs a dataset with a seed: without one each process draws its own, and fit would "
    "repeat some rows and leave out others after a restart: pass seed=..."
)


class Passes(Protocol):
    """A dataset that can be told where its next pass begins."""

    batches: int  # of an epoch
    endless: bool  # whether a pass goes on from epoch to epoch, without an end

    def begin_at(self, epoch: int, batch: int) -> None:
        """Makes the next pass begin there. Raises ValueError if it cannot."""

    def next_is(self, epoch: int) -> None:
        """The pass under way has been begun: one that follows without another word is that."""

    def stopped(self) -> None:
        """Fit was stopped before Keras read the end of a pass that was shorter."""

    def clear(self) -> None:
        """Fit has ended."""

    def delivered(self) -> int | None:
        """How many batches it has delivered so far; None if that is not known."""


def passes_of(dataset: Any) -> Passes:
    """The passes of what npyfast.dataset, keras_dataset or torch_dataset returned. Raises TypeError
    or ValueError if they cannot be set."""
    if hasattr(dataset, "_batching") and callable(getattr(dataset, "set_epoch", None)):
        return _ObjectPasses(dataset)
    if callable(getattr(dataset, "_inputs", None)):
        return _DatasetPasses(dataset)
    raise TypeError(
        "SetEpoch takes what npyfast.dataset, npyfast.keras_dataset or npyfast.torch_dataset "
        f"returned, or a tf.data.Dataset that was built on it; got {shown(dataset)}"
    )


class _DatasetPasses:
    """A tf.data.Dataset, or one that was built on it, which see the same place."""

    def __init__(self, dataset: Any) -> None:
        found: list[Told] = noted_below(dataset, TOLD, "SetEpoch")
        if len(found) > 1:
            raise ValueError(
                f"there are {len(found)} datasets of npyfast below {shown(dataset)}, and SetEpoch "
                "sets one: pass it one of them, and a callback to each"
            )
        self._dataset = dataset
        self._told = told = found[0]
        self.batches = told.batches
        self.endless = told.epochs == -1
        if told.epochs is not None and not self.endless:
            raise ValueError(
                f"SetEpoch needs epochs=None, got a dataset with epochs={told.epochs}, each pass "
                "of which is the same: omit epochs; fit(epochs=...) says how many passes it makes"
            )
        if told.first != (0, 0):
            epoch, batch = told.first
            raise ValueError(
                f"SetEpoch decides where fit begins, got a dataset with start_epoch={epoch} and "
                f"start_batch={batch}: omit them, and pass fit(initial_epoch=...)"
            )
        if not told.has_seed:
            raise ValueError(_SEED)

    def begin_at(self, epoch: int, batch: int) -> None:
        told = self._told
        if batch and not told.anywhere:
            raise ValueError(
                "without shuffling, the graph engine begins each pass at the first batch: pass "
                "engine='generator' to npyfast.dataset to resume within an epoch"
            )
        position = epoch * told.batches + batch
        if position >= 2**62:
            raise ValueError(f"there is no epoch {epoch} of {told.batches} batches")
        told.next_place.set(position)

    def next_is(self, epoch: int) -> None:
        if not self.endless:
            self.begin_at(epoch, 0)

    def stopped(self) -> None:
        pass

    def clear(self) -> None:
        self._told.next_place.clear()

    def delivered(self) -> int | None:
        return statistics(self._dataset).batches


class _ObjectPasses:
    """What keras_dataset or torch_dataset returned, which goes to the next epoch by itself."""

    endless = False

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        batching = dataset._batching
        if not batching.has_seed:
            raise ValueError(_SEED)
        self._shuffled = batching.plan.seed is not None
        self._py_dataset = hasattr(dataset, "on_epoch_end")
        self.batches = len(dataset)

    def begin_at(self, epoch: int, batch: int) -> None:
        if batch and self._py_dataset and not self._shuffled:
            raise ValueError(
                "without shuffle=True in npyfast.keras_dataset, fit permutes the batches by "
                "itself, so that it cannot continue within an epoch: pass shuffle=True and a seed"
            )
        self._dataset.set_epoch(epoch, batch)

    def next_is(self, epoch: int) -> None:
        pass

    def stopped(self) -> None:
        if self._py_dataset:
            self._dataset._end_pass()

    def clear(self) -> None:
        pass

    def delivered(self) -> int | None:
        made: int = self._dataset.statistics.batches
        return made if self._py_dataset else None  # workers of a DataLoader do not count here
