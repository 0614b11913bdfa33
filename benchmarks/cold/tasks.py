"""What the measured process does: imports, waits for the start, and takes batches."""

from __future__ import annotations

import importlib
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from contenders import named
from contenders.tensorflow_data import tf
from harness.contender import Contender
from harness.workloads import Case, read_into_page_cache


def cpu_seconds() -> float:
    """CPU time of this process and its children, of the user and the system."""
    alive = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    ended = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in ended) + sum(
        each.user + each.system for each in alive
    )


def rate(
    ready: Callable[[], None], key: str, case: Case, seconds: float, other: Path | None
) -> tuple[int, float, float]:
    """Takes batches for some seconds, or until the epoch ends: rows, seconds, CPU seconds.

    Before that, reads an `other` file twice, as a file that is in use.
    """
    contender = _imported(key)
    for path in [other] * 2 if other else []:
        read_into_page_cache(path)
    ready()
    begin, cpu = time.perf_counter(), cpu_seconds()
    batches = contender.open(case).iterate()
    last = case.batches_per_epoch
    if key == "ffcv":  # it compiles before its first batch
        next(batches)
        last -= 1
        begin, cpu = time.perf_counter(), cpu_seconds()
    count, elapsed = 0, 0.0
    for _ in batches:
        count += 1
        elapsed = time.perf_counter() - begin
        if count == last or elapsed >= seconds:
            break
    return min(count * case.batch, case.workload.rows), elapsed, cpu_seconds() - cpu


def epochs(ready: Callable[[], None], key: str, case: Case) -> tuple[float, float]:
    """The seconds of two epochs, the first timed from before the file is opened."""
    contender = _imported(key)
    ready()
    times = [time.perf_counter()]
    batches = contender.open(case).iterate()
    for _ in range(2):
        for _ in range(case.batches_per_epoch):
            next(batches)
        times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1]


def each_epoch(
    ready: Callable[[], None], key: str, case: Case, epochs: int
) -> tuple[float, list[tuple[float, float]], int]:
    """Takes whole epochs: seconds to the first batch; seconds and CPU seconds of each epoch.

    Last, of one epoch more, which is not timed: how many rows did not come exactly once.
    """
    contender = _imported(key)
    ready()
    start = begin, cpu = time.perf_counter(), cpu_seconds()
    batches = contender.open(case).iterate()
    first, took = 0.0, []
    for _ in range(epochs):
        for _ in range(case.batches_per_epoch):
            next(batches)
            first = first or time.perf_counter() - start[0]
        now = time.perf_counter(), cpu_seconds()
        took.append((now[0] - begin, now[1] - cpu))
        begin, cpu = now
    seen = np.zeros(case.workload.rows, np.int64)
    for _ in range(case.batches_per_epoch):
        rows = np.asarray(next(batches))
        numbers = np.ascontiguousarray(rows.reshape(len(rows), -1)[:, :4]).view("<u4")
        np.add.at(seen, numbers.ravel(), 1)
    return first, took, int((seen != 1).sum())


def _imported(key: str) -> Contender:
    """The contender, after importing what it needs, which is then neither timed nor read."""
    contender = named(key)
    contender.require()
    for package in contender.packages:
        importlib.import_module(package)
    if "tensorflow" in contender.packages:
        for _ in tf.data.Dataset.range(2):
            pass
    return contender
