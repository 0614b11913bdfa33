"""Whether every contender hands out the rows of the file, each once an epoch."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from contenders.base import Array, Contender, UnavailableError
from workloads import Case, Workload, make_file

_ROWS = 1000  # no multiple of the batch: the short last batch counts


def check(
    workloads: Sequence[Workload], contenders: Sequence[Contender]
) -> Iterator[tuple[Workload, Contender, str, bool | None]]:
    """Runs one epoch of a short file; yields what was found and whether it is right.

    None stands for a contender that is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="npyfast-check-") as folder:
        for workload in workloads:
            small = dataclasses.replace(workload, rows=_ROWS)
            case = Case(small, make_file(small, Path(folder)), batch=32)
            expected = np.load(case.path)
            for contender in contenders:
                if contender.has_rows:
                    yield (workload, contender, *_check(contender, case, expected))


def _check(contender: Contender, case: Case, expected: Array) -> tuple[str, bool | None]:
    try:
        contender.require()
        contender.convert(case.workload, case.path)
        run = contender.open(case)
    except UnavailableError as reason:
        return str(reason), None
    try:
        got = np.concatenate(list(run.rows(len(expected))))
    finally:
        run.close()
    if got.shape != expected.shape:
        return f"shape {got.shape} instead of {expected.shape}", False
    note = "" if got.dtype == expected.dtype else f", as {got.dtype} instead of {expected.dtype}"
    got = got.astype(expected.dtype)
    if np.array_equal(got, expected):
        return "the rows are not shuffled", False
    if not np.array_equal(sorted_rows(got), sorted_rows(expected)):
        return "not each row once", False
    return f"each row once, shuffled{note}", True


def sorted_rows(array: Array) -> Array:
    """The rows as opaque bytes, sorted: equal for equal multisets of rows."""
    flat = np.ascontiguousarray(array).reshape(len(array), -1)
    rows: Array = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).ravel()
    return np.sort(rows)
