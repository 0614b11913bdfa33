"""A contender: one way of getting shuffled batches, which can be started and timed."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from harness.workloads import Case, Shuffle, Workload, require_space

Array = np.ndarray[Any, np.dtype[Any]]
T = TypeVar("T")


class UnavailableError(Exception):
    """A contender can't take part; the text says why."""


class Run:
    """A contender that has been started on one case."""

    settles = True  # whether a turn begins with untimed batches, until the speed is steady

    def microseconds(self, seconds: float, at_least: int) -> float:
        """A batch's mean, over at least `seconds` and `at_least` batches."""
        raise NotImplementedError

    def discard(self) -> None:
        """Takes what was made ahead while others had their turns."""

    def close(self) -> None:
        """Stops threads and frees memory."""

    def iterate(self) -> Iterator[Any]:
        """The batches of a fresh iteration, as the contender yields them."""
        raise NotImplementedError("its batches never reach Python")

    def rows(self, count: int) -> Iterator[Array]:
        """The first batches of a fresh iteration: `count` rows, or up to its end."""
        raise NotImplementedError("its batches don't hold the file's rows")


@dataclasses.dataclass(frozen=True)
class Contender:
    """How to start it, and what its results are called."""

    key: str  # on the command line and in the JSON
    label: str  # in tables
    does: str  # what exactly is run, in one line
    start: Callable[[Case], Run]  # raises UnavailableError where it can't take the case
    packages: tuple[str, ...] = ()  # modules that it imports
    has_rows: bool = True  # whether its batches hold the file's rows
    loop: str = "Python"  # what takes the batches: ratios are shown within one kind
    shuffle: Shuffle = True
    suffix: str = ".npy"  # of its own file format, which `write` makes of a .npy file
    write: Callable[[str, str], None] | None = None
    growth: float = 1.0  # bytes of its own file for each byte of the array
    largest_row: float = math.inf  # bytes

    @property
    def ours(self) -> bool:
        return "npyfast" in self.packages

    def ordered(self, shuffle: Shuffle) -> Contender:
        """The same contender with another order: "block", or False for the file's own."""
        name, text = {"block": ("block", '"block"'), False: ("sequential", "not shuffled")}[shuffle]
        return dataclasses.replace(
            self, key=f"{self.key}-{name}", label=f"{self.label}, {text}", shuffle=shuffle
        )

    def require(self) -> None:
        """Raises UnavailableError where a package is not installed."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise UnavailableError(f"not installed ({package})")

    def file(self, path: Path) -> Path:
        """The file or folder that it reads in place of `path`."""
        return path.with_suffix(self.suffix)

    def convert(self, workload: Workload, path: Path) -> None:
        """Writes file(path), unless it exists and is newer than `path`."""
        if workload.row_bytes > self.largest_row:
            raise UnavailableError(f"left out (rows above {self.largest_row / 1024:.0f} KiB)")
        target = self.file(path)
        if self.write is None or (
            target.exists() and target.stat().st_mtime >= path.stat().st_mtime
        ):
            return
        require_space(path.parent, self.growth * workload.nbytes)
        unfinished = target.with_name(target.name + ".unfinished")
        # Some writers fork, which a process that runs TensorFlow must not.
        in_fresh_process(self.write, str(path), str(unfinished))
        unfinished.replace(target)

    def open(self, case: Case) -> Run:
        return self.start(dataclasses.replace(case, shuffle=self.shuffle))


class Loop(Run):
    """A contender whose batches a Python loop takes.

    `iterate` starts an iteration: an endless one, or one for each epoch. Starting an epoch, up to
    its first batch, is never timed. `ahead` is how many batches it may hold ready. `epoch`, the
    batches of an epoch, makes turns cover whole ones, for work that is not spread evenly over one.
    """

    def __init__(
        self,
        iterate: Callable[[], Iterator[Any]],
        *,
        ahead: int = 0,
        epoch: int | None = None,
        to_numpy: Callable[[Any], Array] = np.asarray,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.settles = epoch is None
        self._iterate = iterate
        self._ahead = ahead
        self._epoch = epoch
        self._to_numpy = to_numpy
        self._close = close
        self._iterator: Iterator[Any] | None = None
        self._us = 0.0  # microseconds a batch, as last measured

    def iterate(self) -> Iterator[Any]:
        return self._iterate()

    def rows(self, count: int) -> Iterator[Array]:
        for batch in self._iterate():
            array = np.array(self._to_numpy(batch))  # a copy: some reuse their memory
            yield array
            count -= len(array)
            if count <= 0:
                return

    def discard(self) -> None:
        self._take(self._ahead + 2)

    def microseconds(self, seconds: float, at_least: int) -> float:
        elapsed, batches = 0.0, 0
        # Where starting epochs takes most of the time, which is not counted, fewer batches must do.
        give_up = time.perf_counter() + 4 * seconds
        while batches < at_least or (elapsed < seconds and time.perf_counter() < give_up):
            # Looking at the clock takes a third of a microsecond: for short batches, seldom.
            spent, got = self._take(self._epoch or (1 if self._us > 100 else 8))
            elapsed += spent
            batches += got
            self._us = elapsed / max(batches, 1) * 1e6
        return self._us

    def close(self) -> None:
        self._iterator = None
        self._close()

    def _take(self, wanted: int) -> tuple[float, int]:
        """Takes `wanted` batches, or those that the epoch has left: seconds, and how many."""
        if self._iterator is None:
            self._iterator = self._iterate()
            next(self._iterator)
        got = 0
        begin = time.perf_counter()
        for _ in itertools.islice(self._iterator, wanted):
            got += 1
        spent = time.perf_counter() - begin
        if got < wanted:
            self._iterator = None
        return spent, got


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """function(*arguments), in a Python that is started for it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def batches_of(array: Array, case: Case) -> Iterator[Array]:
    """Endless batches by NumPy's own indexing, in the case's order.

    Permutations are drawn beforehand and used in turn, so that a contender that is given row
    numbers is not charged for drawing them.
    """
    while not case.shuffle:
        for first in range(0, len(array), case.batch):
            # A copy, as indices make one: TensorFlow would read nothing of a view.
            yield array[first : first + case.batch].copy()
    rng = np.random.default_rng(case.seed)
    # Of a file that is larger than memory no more than one epoch is read.
    drawn = [rng.permutation(len(array)) for _ in range(1 if case.cold else 4)]
    for permutation in itertools.cycle(drawn):
        for first in range(0, len(array), case.batch):
            yield array[permutation[first : first + case.batch]]


def load(case: Case, *, mapped: bool) -> Array:
    """The case's array in memory, or mapped; every page is touched once, unless it is cold."""
    array: Array = np.load(case.path, mmap_mode="r" if mapped else None)
    if mapped and not case.cold:
        int(array.reshape(-1).view(np.uint8)[::4096].sum(dtype=np.int64))
    return array
