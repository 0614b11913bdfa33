"""What every contender offers: a source of batches that can be timed in turns."""

from __future__ import annotations

import abc
import dataclasses
import importlib.util
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from workloads import Case, Workload

Array = np.ndarray[Any, np.dtype[Any]]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line says that contenders need to know."""

    threads: int
    raw_gather: Path | None = None


class UnavailableError(Exception):
    """A contender can't take part here; the text says why."""


class Run(abc.ABC):
    """A contender that has been started on one case."""

    @abc.abstractmethod
    def warm_up(self, seconds: float) -> None:
        """Runs untimed for about `seconds`, and at least until what was prefetched is used up."""

    @abc.abstractmethod
    def turn(self, seconds: float) -> float:
        """Runs for at least `seconds` and returns the mean microseconds a batch."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stops threads and lets go of memory."""

    def iterate(self) -> Iterator[Any]:
        """A fresh iteration's batches, as the contender hands them out."""
        raise NotImplementedError("its batches never come to Python")

    def rows(self, count: int) -> Iterator[Array]:
        """The first batches of a fresh iteration, `count` rows in all or up to its end."""
        raise NotImplementedError("its batches don't hold the file's rows")


class Contender(abc.ABC):
    """One way of getting shuffled batches."""

    key: ClassVar[str]  # on the command line and in the JSON
    label: ClassVar[str]  # in the table
    does: ClassVar[str]  # what exactly is run, in one line
    packages: ClassVar[tuple[str, ...]] = ()  # modules it imports
    has_rows: ClassVar[bool] = True  # whether its batches hold the file's rows
    loop: ClassVar[str] = "Python"  # what takes the batches: ratios are shown within one kind

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def require(self) -> None:
        """Raises UnavailableError where something this contender needs is not installed."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise UnavailableError(f"not installed ({package})")

    def converted(self, path: Path) -> Path:
        """The file or folder this contender reads in place of `path`."""
        return path

    def convert(self, workload: Workload, path: Path) -> None:  # noqa: B027 - optional
        """Writes `converted(path)` where the contender has a format of its own."""

    @abc.abstractmethod
    def open(self, case: Case) -> Run:
        """Starts the contender; raises UnavailableError where this case is beyond it."""


class IteratorRun(Run):
    """A contender that a Python loop takes batches from.

    `iterate` starts an iteration: one endless one, or one for each epoch. Starting an epoch, to its
    first batch, is never timed. `ahead` is how many batches it may hold ready. `whole_epochs`
    makes a turn cover whole epochs, for contenders whose work is not spread evenly over one.
    """

    def __init__(
        self,
        iterate: Callable[[], Iterator[Any]],
        *,
        ahead: int = 0,
        batches_per_epoch: int = 1,
        whole_epochs: bool = False,
        to_numpy: Callable[[Any], Array] = np.asarray,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._iterate = iterate
        self._ahead = ahead
        self._step = batches_per_epoch if whole_epochs else None
        self._to_numpy = to_numpy
        self._on_close = on_close
        self._iterator: Iterator[Any] | None = None
        self._us = 0.0  # microseconds a batch, as last seen

    def iterate(self) -> Iterator[Any]:
        return self._iterate()

    def rows(self, count: int) -> Iterator[Array]:
        iterator = self._iterate()
        while count > 0:
            batch = next(iterator, None)
            if batch is None:
                return
            array = np.array(self._to_numpy(batch))  # a copy: some reuse their memory
            count -= len(array)
            yield array

    def warm_up(self, seconds: float) -> None:
        self._run(seconds, at_least=self._ahead + 2, step=None)

    def turn(self, seconds: float) -> float:
        return self._run(seconds, at_least=3, step=self._step)

    def close(self) -> None:
        self._iterator = None
        if self._on_close is not None:
            self._on_close()

    def _run(self, seconds: float, at_least: int, step: int | None) -> float:
        elapsed = 0.0
        batches = 0
        # Starting epochs is not timed; where that takes most of the time, fewer batches must do.
        give_up = time.perf_counter() + 4 * seconds
        while batches < at_least or (elapsed < seconds and time.perf_counter() < give_up):
            if self._iterator is None:
                self._iterator = self._iterate()
                next(self._iterator)
            # Looking at the clock takes a third of a microsecond: once for every batch that takes
            # long, seldom enough not to be seen in the result for others.
            wanted = step or (1 if self._us > 100 else 8)
            got = 0
            begin = time.perf_counter()
            for _ in itertools.islice(self._iterator, wanted):
                got += 1
            elapsed += time.perf_counter() - begin
            batches += got
            if got < wanted:
                self._iterator = None
            if got:
                self._us = elapsed / batches * 1e6
        return self._us


def shuffled_indices(rows: int, batch: int, seed: int, permutations: int = 4) -> Iterator[Array]:
    """Endless batches of row numbers, each epoch in an order of its own.

    The permutations are drawn beforehand and used in turn, so that a contender that is given
    its row numbers is not charged for drawing them.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(rows) for _ in range(permutations)]
    for permutation in itertools.cycle(drawn):
        for first in range(0, rows, batch):
            yield permutation[first : first + batch]


def batches_of(array: Array, case: Case) -> Iterator[Array]:
    """Endless batches by NumPy's own indexing, in the case's order."""
    while not case.shuffle:
        for first in range(0, len(array), case.batch):
            # A copy, as indices make one: of a view, TensorFlow would read nothing.
            yield array[first : first + case.batch].copy()
    # Of a file that is larger than memory no more than one epoch is read.
    permutations = 1 if case.cold else 4
    for indices in shuffled_indices(len(array), case.batch, case.seed, permutations):
        yield array[indices]


def load(path: Path, mapped: bool, *, cold: bool = False) -> Array:
    """The array in a .npy file, read into memory, or mapped with every page touched once.

    Nothing is touched where `cold` is set.
    """
    array: Array = np.load(path, mmap_mode="r" if mapped else None)
    if mapped and not cold:
        int(array.reshape(-1).view(np.uint8)[::4096].sum(dtype=np.int64))
    return array
