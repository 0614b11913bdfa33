"""Whether contenders yield the rows of the file, each once an epoch, and in the order asked for."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from harness.contender import Array, Contender, UnavailableError, describe, in_fresh_process
from harness.workloads import Case, Workload, make_file

from contenders import named

_ROWS = 1000  # no multiple of a batch, so that the short last batch counts
Verdict = tuple[str, str]  # "ok", "WRONG", or "-" where the contender can't run; and what was found


def check(keys: Sequence[str], workloads: Sequence[tuple[Workload, int]]) -> int:
    """Prints a verdict for each contender and workload; returns the exit status.

    An epoch of a short file is taken in a fresh process for each contender.
    """
    wrong = False
    with tempfile.TemporaryDirectory(prefix="npyfast-check-") as folder:
        small = [(dataclasses.replace(each, rows=_ROWS), batch) for each, batch in workloads]
        cases = [Case(each, make_file(each, Path(folder)), batch) for each, batch in small]
        for contender in map(named, keys):
            if contender.has_rows:
                found = in_fresh_process(_check_all, contender.key, cases)
                for case, (verdict, text) in zip(cases, found, strict=True):
                    print(f"{verdict:6} {case.name:15} {contender.label:43} {text}", flush=True)
                    wrong |= verdict == "WRONG"
    return int(wrong)


def _check_all(key: str, cases: Sequence[Case]) -> list[Verdict]:
    return [_check(named(key), case) for case in cases]


def _check(contender: Contender, case: Case) -> Verdict:
    try:
        contender.require()
        contender.convert(case.workload, case.path)
        run = contender.open(case)
        got = np.concatenate(list(run.rows(case.workload.rows)))
        run.close()
    except UnavailableError as reason:
        return "-", str(reason)
    except Exception as error:
        return "WRONG", describe(error)
    return _compare(got, np.load(case.path), in_order=contender.shuffle is False)


def _compare(got: Array, expected: Array, *, in_order: bool) -> Verdict:
    if got.shape != expected.shape:
        return "WRONG", f"shape {got.shape} instead of {expected.shape}"
    note = "" if got.dtype == expected.dtype else f", as {got.dtype} instead of {expected.dtype}"
    if got.dtype.kind == "f" and expected.dtype.kind == "u":
        # Scaled to [0, 1]: a product with 1/255 and a quotient by 255 differ in the last bit.
        got = np.rint(got * 255)
    got = got.astype(expected.dtype)
    same = np.array_equal(got, expected)
    if in_order:
        return ("ok", f"the file's rows in order{note}") if same else ("WRONG", "another order")
    if same:
        return "WRONG", "the rows are not shuffled"
    if not np.array_equal(_sorted_rows(got), _sorted_rows(expected)):
        return "WRONG", "not each row once"
    return "ok", f"each row once, shuffled{note}"


def _sorted_rows(array: Array) -> Array:
    """The rows as opaque bytes, sorted: equal for equal multisets of rows."""
    flat = np.ascontiguousarray(array).reshape(len(array), -1)
    rows: Array = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).ravel()
    return np.sort(rows)
