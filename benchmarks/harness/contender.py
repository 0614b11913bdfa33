"""A contender: one way of getting shuffled batches, which can be started and timed."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import itertools
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
CONTENDERS: dict[str, Contender] = {}  # by key, as `contender` defines them


class Lazy:
    """A module that is imported when it is used: it may be missing, and takes memory and time."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)


class UnavailableError(Exception):
    """A contender can't take part; the text says why."""


class Run:
    """A contender that has been started on one case."""

    settles = True  # whether a turn begins with untimed batches, until the speed is steady

    def microseconds(self, seconds: float, at_least: int) -> float:
        """A batch's mean, over at least `seconds` and `at_least` batches."""
        raise NotImplementedError

    def rows(self, count: int) -> Iterator[Array]:
        """The first batches of a fresh iteration: `count` rows, or up to its end."""
        raise NotImplementedError

    def discard(self) -> None:
        """Takes the batches that were made ahead while others had their turns."""

    def close(self) -> None:
        """Stops threads and frees memory."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """How to start it, and what its results are called."""

    key: str  # on the command line and in the JSON
    label: str  # in tables
    packages: tuple[str, ...]  # modules that it imports
    start: Callable[[Case], Run]  # raises UnavailableError where it can't take the case
    has_rows: bool = True  # whether its batches hold the file's rows
    loop: str = "Python"  # what takes the batches: ratios are shown within one kind
    shuffle: Shuffle = True
    suffix: str = ".npy"  # of its own file format, which `write` makes of a .npy file
    write: Callable[[str, str], None] | None = None

    @property
    def ours(self) -> bool:
        return "npyfast" in self.packages

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
        target = self.file(path)
        done = target.exists() and target.stat().st_mtime >= path.stat().st_mtime
        if self.write is None or done:
            return
        require_space(path.parent, workload.nbytes)
        unfinished = target.with_name(target.name + ".unfinished")
        # Some writers fork, which a process that runs TensorFlow must not.
        in_fresh_process(self.write, str(path), str(unfinished))
        unfinished.replace(target)

    def open(self, case: Case) -> Run:
        return self.start(dataclasses.replace(case, shuffle=self.shuffle))


Start = TypeVar("Start", bound=Callable[[Case], Run])


def contender(key: str, label: str, *packages: str, **more: Any) -> Callable[[Start], Start]:
    """Defines a contender by the decorated function, which starts it."""

    def define(start: Start) -> Start:
        CONTENDERS[key] = Contender(key, label, packages, start, **more)
        return start

    return define


def ordered(key: str, name: str, label: str, shuffle: Shuffle) -> None:
    """Defines a known contender once more, with another order."""
    known = CONTENDERS[key]
    new, label = f"{key}-{name}", f"{known.label}, {label}"
    CONTENDERS[new] = dataclasses.replace(known, key=new, label=label, shuffle=shuffle)


@dataclasses.dataclass
class Loop(Run):
    """A contender whose batches a Python loop takes."""

    # Starts an iteration: an endless one, or one for each epoch. Starting an epoch, up to its first
    # batch, is never timed.
    iterate: Callable[[], Iterator[Any]]
    ahead: int = 0  # how many batches it may hold ready
    # The batches of an epoch, where turns cover whole ones: for work not spread evenly over one.
    epoch: int | None = None
    to_numpy: Callable[[Any], Array] = np.asarray
    stop: Callable[[], None] = lambda: None
    _iterator: Iterator[Any] | None = None
    _us: float = 0.0  # microseconds a batch, as last measured

    @property
    def settles(self) -> bool:
        return self.epoch is None

    def rows(self, count: int) -> Iterator[Array]:
        for batch in self.iterate():
            array = np.array(self.to_numpy(batch))  # a copy: some reuse their memory
            yield array
            count -= len(array)
            if count <= 0:
                return

    def discard(self) -> None:
        self._take(self.ahead + 2)

    def microseconds(self, seconds: float, at_least: int) -> float:
        elapsed, batches = 0.0, 0
        # Where starting epochs takes most of the time, which is not counted, fewer batches must do.
        give_up = time.perf_counter() + 4 * seconds
        while batches < at_least or (elapsed < seconds and time.perf_counter() < give_up):
            # Reading the clock takes a third of a microsecond: for short batches, seldom.
            spent, got = self._take(self.epoch or (1 if self._us > 100 else 8))
            elapsed += spent
            batches += got
            self._us = elapsed / max(batches, 1) * 1e6
        return self._us

    def close(self) -> None:
        self._iterator = None
        self.stop()

    def _take(self, wanted: int) -> tuple[float, int]:
        """Takes `wanted` batches, or those that the epoch has left: seconds, and how many."""
        if self._iterator is None:
            self._iterator = self.iterate()
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


def describe(error: BaseException) -> str:
    """The type and the first line of an exception."""
    lines = str(error).strip().splitlines() or ["no text"]
    return f"{type(error).__name__}: {lines[0]}"
