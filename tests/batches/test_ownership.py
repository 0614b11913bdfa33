"""Streams own the memory they read: it is freed with the last of them, on whatever thread."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import npyfast


class Watched(np.ndarray):
    """An array that can be referred to weakly."""


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("in_thread", [False, True])
def test_an_array_in_memory_is_freed_with_its_last_stream(in_thread: bool) -> None:
    array = np.arange(400_000).reshape(4_000, 100).view(Watched)
    reference = weakref.ref(array)
    rows = np.arange(4_000)[::-2]

    def read() -> None:
        nonlocal array
        batches = iter(npyfast.batches(array, batch_size=32, rows=rows, threads=3))
        del array
        gc.collect()
        np.testing.assert_array_equal(next(batches)[:, 0], rows[:32] * 100)
        assert reference() is not None

    if in_thread:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    else:
        read()
    gc.collect()
    assert reference() is None
