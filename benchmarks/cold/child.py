"""The measured process: joins its cgroup, imports, waits for the word, and takes batches."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from check import sorted_rows
from contenders import Settings
from contenders.base import Array, Contender, UnavailableError
from machine import cpus
from workloads import Case, Workload

from cold.entries import ENTRIES, Entry


@dataclasses.dataclass(frozen=True)
class Task:
    """What the process is to do, as JSON on its command line."""

    what: str  # "rate", "epochs" or "check"
    entry: str
    files: list[tuple[str, str, int, list[int], int]]  # name, path, rows, row shape, batch
    seconds: float = 0.0
    seed: int = 0  # another one each round: the storage may have caches of its own
    cgroup: str | None = None  # the file to write the process's id to

    def cases(self) -> list[Case]:
        shuffle = ENTRIES[self.entry].shuffle
        return [
            Case(
                Workload(name, rows, tuple(shape), np.dtype("u1")),
                Path(path),
                batch,
                shuffle=shuffle,
                seed=self.seed,
                cold=True,
            )
            for name, path, rows, shape, batch in self.files
        ]


def main(text: str) -> None:
    task = Task(**json.loads(text))
    if task.cgroup is not None:
        Path(task.cgroup).write_text(str(os.getpid()))
    entry = ENTRIES[task.entry]
    contender = entry.contender(Settings(threads=cpus()))
    try:
        contender.require()
        _start_packages(contender)
        print("ready", flush=True)
        sys.stdin.readline()
        result = _WHAT[task.what](entry, contender, task)
    except UnavailableError as reason:
        result = {"problem": str(reason), "unavailable": True}
    except Exception as error:
        lines = str(error).strip().splitlines()
        result = {"problem": f"{type(error).__name__}: {lines[0] if lines else 'no text'}"}
    print("result", json.dumps(result), flush=True)
    # Without waiting for the threads and workers of others: all that is left dies with the cgroup.
    os._exit(0)


def _start_packages(contender: Contender) -> None:
    """Imports what the contender needs, so that it is neither timed nor read meanwhile."""
    for package in contender.packages:
        importlib.import_module(package)
    if "tensorflow" in contender.packages:
        import tensorflow as tf

        for _ in tf.data.Dataset.range(2):
            pass


def _rate(entry: Entry, contender: Contender, task: Task) -> dict[str, Any]:
    """Takes batches for some seconds, or until the epoch ends."""
    (case,) = task.cases()
    begin = time.perf_counter()
    batches = contender.open(case).iterate()
    last = case.batches_per_epoch
    if entry.from_first_batch:
        next(batches)
        last -= 1
        begin = time.perf_counter()
    count, elapsed = 0, 0.0
    for _ in batches:
        count += 1
        elapsed = time.perf_counter() - begin
        if count == last or elapsed >= task.seconds:
            break
    return {"rows": min(count * case.batch, case.workload.rows), "seconds": elapsed}


def _epochs(entry: Entry, contender: Contender, task: Task) -> dict[str, Any]:
    """Takes two epochs, the first timed from before the file is opened."""
    del entry
    (case,) = task.cases()
    begin = time.perf_counter()
    batches = contender.open(case).iterate()
    seconds = []
    for _ in range(2):
        for _ in range(case.batches_per_epoch):
            next(batches)
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return {"first": seconds[0], "second": seconds[1]}


def _check(entry: Entry, contender: Contender, task: Task) -> dict[str, Any]:
    """Compares an epoch of short files with np.load; returns what is wrong, by file."""
    wrong = {}
    for case in task.cases():
        if entry.row_sizes is None or case.workload.name in entry.row_sizes:
            expected = np.load(case.path)
            contender.convert(case.workload, case.path)
            run = contender.open(case)
            got = np.concatenate(list(run.rows(len(expected))))
            run.close()
            found = _difference(got, expected, entry)
            if found is not None:
                wrong[case.workload.name] = found
    return {"wrong": wrong}


def _difference(got: Array, expected: Array, entry: Entry) -> str | None:
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return f"{got.shape} {got.dtype} instead of {expected.shape} {expected.dtype}"
    if np.array_equal(got, expected):
        return None if entry.shuffle is False else "the rows are not shuffled"
    if entry.shuffle is False:
        return "not the file's rows in the file's order"
    same = np.array_equal(sorted_rows(got), sorted_rows(expected))
    return None if same else "not each row once"


_WHAT: dict[str, Callable[[Entry, Contender, Task], dict[str, Any]]] = {
    "rate": _rate,
    "epochs": _epochs,
    "check": _check,
}
