"""A file that is truncated while a dataset reads it is an error of TensorFlow that names it."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from deadlines import wait_until
from samples import Dataset, Save

import npyfast
from npyfast._options import READAHEAD

PAGE = mmap.PAGESIZE
# Rows of half a page; no item is zero.
X = np.repeat(np.arange(1, 513, dtype="u4")[:, None], PAGE // 8, axis=1)

# Of an NpyFormatError: from the op, and from a Python function that raises a ValueError.
ERRORS = {"graph": tf.errors.DataLossError, "generator": tf.errors.InvalidArgumentError}


def begun(made: Any) -> Any:
    """An iterator of which a batch has been read.

    The NumPy backend can't survive a truncation in the middle of a copy: for that one, TensorFlow's
    thread has made all that it makes ahead, the second group of batches, and waits.
    """
    iterator = iter(made)
    next(iterator)
    if npyfast.backend == "numpy":
        wait_until(lambda: npyfast.statistics(made).batches == 1 + 2)
    return iterator


def read_on(iterator: Any) -> None:
    """Reads until the iterator fails. What comes before that is right."""
    for batch in iterator:
        assert batch[:, 0].numpy().all()


@pytest.mark.parametrize("kept", [0, PAGE, 200 * PAGE])
@pytest.mark.parametrize("readahead", READAHEAD)
def test_while_it_is_read(
    dataset: Dataset, engine: str, save: Save, kept: int, readahead: str
) -> None:
    path = save(X)
    size = os.path.getsize(path)
    iterator = begun(dataset(path, 32, True, seed=1, epochs=-1, readahead=readahead))
    os.truncate(path, kept)
    with pytest.raises(ERRORS[engine]) as caught:
        read_on(iterator)
    assert (
        f"{path}: has {kept:,} bytes now, {size:,} when it was opened: it was truncated while it "
        "was read; copy it again"
    ) in str(caught.value)


def test_within_the_last_page(dataset: Dataset, engine: str, save: Save) -> None:
    path = save(X)
    iterator = begun(dataset(path, 32, True, seed=1, epochs=-1))
    os.truncate(path, os.path.getsize(path) - 1)
    with pytest.raises(ERRORS[engine], match="was truncated while it was read"):
        for _ in iterator:
            pass


def test_one_of_two_leaves(dataset: Dataset, engine: str, save: Save) -> None:
    bad, good = save(X), save(X)
    iterator = begun(dataset((good, bad), 32, epochs=-1))
    os.truncate(bad, PAGE)
    with pytest.raises(ERRORS[engine]) as caught:
        for _ in iterator:
            pass
    assert f"{bad}: has {PAGE:,} bytes now" in str(caught.value)
    assert np.array_equal(next(iter(dataset(good, 512))), X)
