"""What the measured process does: imports, waits for the start, and takes batches."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable

from contenders import named
from contenders.tensorflow_data import tf
from harness.contender import Contender
from harness.workloads import Case


def rate(ready: Callable[[], None], key: str, case: Case, seconds: float) -> tuple[int, float]:
    """Takes batches for some seconds, or until the epoch ends; rows, and how long they took."""
    contender = _imported(key)
    ready()
    begin = time.perf_counter()
    batches = contender.open(case).iterate()
    last = case.batches_per_epoch
    if key == "ffcv":  # it compiles before its first batch
        next(batches)
        last -= 1
        begin = time.perf_counter()
    count, elapsed = 0, 0.0
    for _ in batches:
        count += 1
        elapsed = time.perf_counter() - begin
        if count == last or elapsed >= seconds:
            break
    return min(count * case.batch, case.workload.rows), elapsed


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
