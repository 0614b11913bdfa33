"""Whether contenders yield the rows of the file, each once an epoch, and in the order asked for."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from harness.contender import Array, Contender, UnavailableError, in_fresh_process
from harness.turns import describe
from harness.workloads import Case, Workload, make_file

_ROWS = 1000  # no multiple of a batch, so that the short last batch counts


def check(
    contenders: Sequence[Contender],
    workloads: Sequence[tuple[Workload, int]],
    named: Callable[[str], Contender],
) -> int:
    """Prints a verdict for each contender and workload; returns the exit status.

    An epoch of a short file is taken in a fresh process for each contender, which `named` finds
    there by its key.
    """
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="npyfast-check-") as folder:
        small = [(dataclasses.replace(each, rows=_ROWS), batch) for each, batch in workloads]
        cases = [Case(each, make_file(each, Path(folder)), batch) for each, batch in small]
        for contender in contenders:
            if contender.has_rows:
                found = in_fresh_process(_check_all, named, contender.key, cases)
                for case, (right, text) in zip(cases, found, strict=True):
                    verdict = {True: "ok", False: "WRONG", None: "-"}[right]
                    print(f"{verdict:6} {case.name:15} {contender.label:43} {text}", flush=True)
                    wrong += right is False
    return 1 if wrong else 0


def _check_all(
    named: Callable[[str], Contender], key: str, cases: Sequence[Case]
) -> list[tuple[bool | None, str]]:
    return [_check(named(key), case) for case in cases]


def _check(contender: Contender, case: Case) -> tuple[bool | None, str]:
    """Whether the rows are right, and what was found; None where the contender can't run."""
    try:
        contender.require()
        contender.convert(case.workload, case.path)
        run = contender.open(case)
        got = np.concatenate(list(run.rows(case.workload.rows)))
        run.close()
    except UnavailableError as reason:
        return None, str(reason)
    except Exception as error:
        return False, describe(error)
    return _compare(got, np.load(case.path), in_order=contender.shuffle is False)


def _compare(got: Array, expected: Array, *, in_order: bool) -> tuple[bool, str]:
    if got.shape != expected.shape:
        return False, f"shape {got.shape} instead of {expected.shape}"
    note = "" if got.dtype == expected.dtype else f", as {got.dtype} instead of {expected.dtype}"
    if got.dtype.kind == "f" and expected.dtype.kind == "u":
        # Scaled to [0, 1]: a product with 1/255 and a quotient by 255 differ in the last bit.
        got = np.rint(got * 255)
    got = got.astype(expected.dtype)
    same = np.array_equal(got, expected)
    if in_order:
        return same, f"the file's rows in order{note}" if same else "not the file's rows in order"
    if same:
        return False, "the rows are not shuffled"
    right = np.array_equal(_sorted_rows(got), _sorted_rows(expected))
    return right, f"each row once, shuffled{note}" if right else "not each row once"


def _sorted_rows(array: Array) -> Array:
    """The rows as opaque bytes, sorted: equal for equal multisets of rows."""
    flat = np.ascontiguousarray(array).reshape(len(array), -1)
    rows: Array = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).ravel()
    return np.sort(rows)
