"""Iterators of `npyfast.batches`: each has a place of its own, and an end."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from expected import assert_same
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(103 * 3).reshape(103, 3)

WAYS = pytest.mark.parametrize(
    "options",
    [{}, {"transform": np.negative}, {"transform": np.negative, "transform_threads": 3}],
    ids=["plain", "transform", "transform_threads"],
)


@WAYS
def test_of_one_object_are_independent(save: Save, options: dict[str, Any]) -> None:
    made = npyfast.batches(save(X), 10, True, seed=1, epochs=2, **options)
    one, other = iter(made), iter(made)
    first = [next(one) for _ in range(13)]
    assert isinstance(one, npyfast.BatchIterator)
    assert one.position == (1, 2)
    assert other.position == (0, 0)
    for batch in first[:5]:
        assert_same(next(other), batch)
    assert one.position == (1, 2)
    assert other.position == (0, 5)
    one.close()
    assert next(one, None) is None
    assert_same(next(other), first[5])


@WAYS
def test_are_their_own_iterators(options: dict[str, Any]) -> None:
    iterator = iter(npyfast.batches(X, 10, **options))
    assert iter(iterator) is iterator


def test_read_by_the_core_itself(save: Save) -> None:
    """A `__next__` of Python's would cost as much as a small batch."""
    if npyfast.backend == "native":
        from npyfast import _core

        iterator = iter(npyfast.batches(save(X)))
        assert isinstance(iterator, _core.Stream)
        assert type(iterator).__next__ is _core.Stream.__next__


@WAYS
def test_end_where_nobody_has_them(save: Save, options: dict[str, Any]) -> None:
    made = npyfast.batches(save(X), 10, epochs=-1, **options)
    iterator = iter(made)
    next(iterator)
    gone = weakref.ref(iterator)
    del iterator
    gc.collect()
    assert gone() is None


def test_read_nothing_more_once_they_are_dropped(save: Save, backend: str) -> None:
    made = npyfast.batches(save(np.zeros((4096, 4096), "u1")), 1, epochs=-1)
    for _ in made:
        break
    gc.collect()
    before = made.statistics
    time.sleep(0.05)
    # A thread counts its CPU time when it ends, and time goes on.
    after = made.statistics
    assert replace(after, cpu_seconds=before.cpu_seconds, seconds=before.seconds) == before
    assert before.batches_ahead == 0


@WAYS
def test_closing_all_of_them(save: Save, options: dict[str, Any]) -> None:
    made = npyfast.batches(save(X), 10, epochs=-1, **options)
    iterators = [iter(made) for _ in range(3)]
    for iterator in iterators:
        next(iterator)
    made.close()
    made.close()
    for iterator in iterators:
        assert next(iterator, None) is None
        with pytest.raises(ValueError, match="closed"):
            iterator.set_state(iterator.get_state())
    with pytest.raises(ValueError, match="closed"):
        iter(made)
    assert "batches of 10" in repr(made)


@WAYS
def test_set_while_another_thread_reads(save: Save, options: dict[str, Any]) -> None:
    made = npyfast.batches(save(X), 1, True, seed=3, epochs=-1, **options)
    iterator = iter(made)
    start = iterator.get_state()
    rows = [next(iterator) for _ in range(200)]
    wanted = {int(row.flat[0]) for row in rows}
    stop = threading.Event()
    seen: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            seen.extend(int(b.flat[0]) for b in [next(iterator, None)] if b is not None)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(100):
        iterator.set_state(start)
    stop.set()
    for reader in readers:
        reader.join(20)
        assert not reader.is_alive()
    assert set(seen) <= wanted | set((-X if options else X)[:, 0].tolist())
    iterator.set_state(start)
    for row in rows:
        assert_same(next(iterator), row)
