"""A file that changed since it was opened is an error that names it, never a row: by npyfast.open
and npyfast.batches. Another file at its path is no change for whoever has the old one open."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from deadlines import wait_until
from file_changes import CHANGES, REPLACEMENTS, assert_tells, change, read_on, wait_for_the_clock
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(1000, dtype="u4")

changed = pytest.mark.parametrize("how", CHANGES)
replaced = pytest.mark.parametrize("how", REPLACEMENTS)
ERRORS = (OSError, npyfast.NpyFormatError)


def rows_of(batches: Any) -> Any:
    return np.concatenate(list(batches))


@changed
def test_rows(save: Save, how: str) -> None:
    path = save(X)
    rows = npyfast.open(path)
    assert np.array_equal(rows[:], X)
    change(how, path)
    out = np.zeros(2, "u4")
    for read in (
        lambda: rows[0],
        lambda: rows[:5],
        lambda: rows.gather([3, 1], out=out),
        lambda: np.asarray(rows),
    ):
        with pytest.raises(ERRORS) as caught:
            read()
        assert_tells(caught.value, path)
    if how == "truncated":
        assert isinstance(caught.value, npyfast.NpyFormatError)
    else:
        assert isinstance(caught.value, OSError)
        assert (caught.value.errno, caught.value.filename) == (errno.ESTALE, path)


@changed
def test_what_was_changed_stays_so(save: Save, how: str) -> None:
    """Another file in its place does not make what is open any better."""
    path = save(X)
    rows = npyfast.open(path)
    change(how, path)
    for _ in range(2):
        with pytest.raises(ERRORS):
            rows[0]
        if os.path.exists(path):
            os.remove(path)


@replaced
def test_rows_of_a_file_with_another_in_its_place(save: Save, how: str) -> None:
    path = save(X)
    rows = npyfast.open(path)
    change(how, path)
    assert np.array_equal(rows[:], X)


def test_only_the_files_that_are_read(save: Save) -> None:
    paths = [save(X[:10] + 10 * i) for i in range(4)]
    rows = npyfast.open(paths)
    change("touched", paths[2])
    assert np.array_equal(rows[[0, 35, 19]], [0, 35, 19])
    with pytest.raises(OSError) as caught:
        rows[[0, 20]]
    assert_tells(caught.value, paths[2])


@changed
def test_batches_between_two_epochs(save: Save, how: str) -> None:
    path = save(X)
    made = npyfast.batches(path, 100)
    assert np.array_equal(rows_of(made), X)
    change(how, path)
    for _ in range(2):
        with pytest.raises(ERRORS) as caught:
            next(iter(made))
        assert_tells(caught.value, path)


@changed
@pytest.mark.parametrize("pause", [0, 0.001])
def test_batches_in_the_middle_of_an_epoch(save: Save, how: str, pause: float) -> None:
    path = save(X)
    iterator = iter(npyfast.batches(path, 100, epochs=-1))
    assert np.array_equal(next(iterator), X[:100])
    change(how, path)
    with pytest.raises(ERRORS) as caught:
        read_on(iterator, pause)
    assert_tells(caught.value, path)


@changed
def test_however_many_batches_lie_ready(save: Save, how: str) -> None:
    """A slow reader gets the error of the next batch once 0.1 s have gone by."""
    path = save(X)
    made = npyfast.batches(path, 1, epochs=-1)
    iterator = iter(made)
    next(iterator)
    if npyfast.backend == "native":
        wait_until(lambda: made.statistics.batches_ahead > 100)
    change(how, path)
    time.sleep(0.2)
    for _ in range(3):
        with pytest.raises(ERRORS) as caught:
            next(iterator)
        assert_tells(caught.value, path)


def test_what_threads_have_transformed_is_looked_at_as_well(save: Save) -> None:
    path = save(X)
    iterator = iter(npyfast.batches(path, 1, epochs=-1, transform=lambda x: x, transform_threads=4))
    next(iterator)
    time.sleep(0.05)
    change("saved over", path)
    time.sleep(0.2)
    for _ in range(12):  # more than lie ready
        with pytest.raises(ERRORS) as caught:
            next(iterator)
        assert_tells(caught.value, path)


def test_errors_end_with_the_run(save: Save) -> None:
    path = save(X)
    made = npyfast.batches(path, 10, epochs=1)
    change("saved over", path)
    iterator = iter(made)
    for _ in range(100):
        with pytest.raises(OSError):
            next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)


@replaced
def test_batches_of_a_file_with_another_in_its_place(save: Save, how: str) -> None:
    path = save(X)
    made = npyfast.batches(path, 100)
    iterator = iter(made)
    begun = [next(iterator)]
    change(how, path)
    time.sleep(0.2)
    assert np.array_equal(np.concatenate([*begun, *iterator]), X)
    assert np.array_equal(rows_of(made), X)


@pytest.mark.parametrize("count", [3, 140, 300])
def test_one_file_of_many(save: Save, count: int) -> None:
    paths = [save(X[:10]) for _ in range(count)]
    made = npyfast.batches(paths, 10, epochs=-1)
    iterator = iter(made)
    next(iterator)
    change("time put back", paths[-1])
    with pytest.raises(OSError) as caught:
        read_on(iterator)
    assert_tells(caught.value, paths[-1])


def test_files_without_rows_count_as_well(save: Save) -> None:
    paths = [save(X), save(X[:0])]
    made = npyfast.batches(paths, 100)
    assert np.array_equal(rows_of(made), X)
    wait_for_the_clock(paths[1])
    np.save(paths[1], X)
    with pytest.raises(OSError) as caught:
        next(iter(made))
    assert_tells(caught.value, paths[1])


def read_nonzero(batches: Iterable[Any]) -> None:
    for batch in batches:
        assert batch.all()


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize(
    "options", [{}, {"cast": "f8"}, {"rows": [999]}], ids=["plain", "cast", "rows"]
)
def test_the_end_of_a_truncated_file_gives_no_zeros(
    save: Save, order: str, options: dict[str, Any]
) -> None:
    """No batch of rows at its end comes without a look at the file after the copy."""
    x = np.asarray(np.arange(1, 3001, dtype="u4").reshape(1000, 3), order=order)  # type: ignore[call-overload]
    options = dict(options)
    rows = options.pop("rows", None)
    for _ in range(20):
        path = save(x, "x.npy")
        iterator = iter(
            npyfast.batches(npyfast.source(path, **options), 10, True, rows=rows, epochs=-1)
        )
        next(iterator)
        os.truncate(path, os.path.getsize(path) - 1)
        with pytest.raises(npyfast.NpyFormatError, match="was truncated"):
            read_nonzero(iterator)


@pytest.mark.parametrize("others_count", [0, 3])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_that_is_cut_off_in_the_middle_gives_no_zeros(
    save: Save, order: str, others_count: int
) -> None:
    """The page on which the file ends now may be any."""
    x = np.asarray(np.arange(1, 30_001, dtype="u4").reshape(10_000, 3), order=order)  # type: ignore[call-overload]
    for size in range(5_000, 120_000, 2_300):
        path = save(x, "x.npy")
        others = [save(x, f"{name}.npy") for name in range(others_count)]
        iterator = iter(npyfast.batches([*others, path], 10, bool(others), epochs=-1))
        next(iterator)
        os.truncate(path, size)
        with pytest.raises(npyfast.NpyFormatError, match="was truncated"):
            read_nonzero(iterator)


def test_the_end_of_a_truncated_file_gives_no_zeros_in_a_structure(save: Save) -> None:
    x = np.ones(1000, [("a", "u1"), ("b", "f4", (2,))])
    path = save(x)
    iterator = iter(npyfast.batches(path, 10, True, epochs=-1))
    next(iterator)
    os.truncate(path, os.path.getsize(path) - 1)
    with pytest.raises(npyfast.NpyFormatError, match="was truncated"):
        read_nonzero(batch["b"] for batch in iterator)
