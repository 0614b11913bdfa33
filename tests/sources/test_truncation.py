"""A file that is truncated, or fails to be read, while it is in use is an error that names it, in
the loop that reads it: never the end of the process, never zeros in place of data.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import signal
from typing import Any

import numpy as np
import processes
import pytest
from samples import Save

import npyfast
from npyfast._options import READAHEAD

every_backend = pytest.mark.usefixtures("backend")
native = pytest.mark.usefixtures("native")

PAGE = mmap.PAGESIZE
ROWS = 512
# Rows of half a page; no item is zero.
X = np.repeat(np.arange(1, ROWS + 1, dtype="u4")[:, None], PAGE // 8, axis=1)

KEPT = {"nothing": 0, "one page": PAGE, "most": 200 * PAGE}

truncations = pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)


def message(path: str, kept: int, size: int) -> str:
    return re.escape(
        f"{path}: has {kept:,} bytes now, {size:,} when it was opened: it was truncated while it "
        "was read; copy it again"
    )


def endless(source: Any, **options: Any) -> Any:
    """Batches without an end, so that some are yet to be made whatever lies ready."""
    return iter(npyfast.batches(source, 32, epochs=-1, seed=1, **options))


def read_on(iterator: Any) -> None:
    """Reads until the iterator fails. What comes before that is right."""
    for batch in iterator:
        assert batch[:, 0].all()
        assert (batch == batch[:, :1]).all()


@every_backend
@truncations
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("readahead", READAHEAD)
def test_batches(save: Save, kept: int, shuffle: bool, readahead: str) -> None:
    path = save(X)
    size = os.path.getsize(path)
    iterator = endless(path, shuffle=shuffle, readahead=readahead)
    next(iterator)
    os.truncate(path, kept)
    with pytest.raises(npyfast.NpyFormatError, match=message(path, kept, size)):
        read_on(iterator)


@every_backend
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_batches_by_threads(save: Save, threads: int) -> None:
    path = save(X)
    iterator = endless(path, shuffle=True, threads=threads)
    next(iterator)
    os.truncate(path, PAGE)
    with pytest.raises(npyfast.NpyFormatError, match="it was truncated while it was read"):
        read_on(iterator)


@every_backend
def test_one_file_of_several(save: Save) -> None:
    paths = [save(X[first : first + 64]) for first in range(0, ROWS, 64)]
    size = os.path.getsize(paths[5])
    iterator = endless(paths, shuffle=True)
    next(iterator)
    os.truncate(paths[5], PAGE)
    with pytest.raises(npyfast.NpyFormatError, match=message(paths[5], PAGE, size)):
        read_on(iterator)


@every_backend
@pytest.mark.parametrize("lost", [1, 100, PAGE // 2])
def test_within_the_last_page(save: Save, lost: int) -> None:
    """Where nothing but the file's size tells that its end is gone."""
    path = save(X)
    size = os.path.getsize(path)
    assert size % PAGE > 0, "the file should end within a page"
    kept = max(size - lost, size // PAGE * PAGE + 1)
    iterator = endless(path, shuffle=True)
    next(iterator)
    os.truncate(path, kept)
    with pytest.raises(npyfast.NpyFormatError, match=message(path, kept, size)):
        list(iterator)


@every_backend
@truncations
def test_rows(save: Save, kept: int) -> None:
    path = save(X)
    size = os.path.getsize(path)
    rows = npyfast.open(path)
    assert rows[-1].all()
    os.truncate(path, kept)
    out = np.zeros((2, PAGE // 8), "u4")
    for read in (
        lambda: rows[-1],
        lambda: rows[300:],
        lambda: rows[[511, 0]],
        lambda: rows.gather([511, 510], out=out),
        lambda: np.asarray(rows),
    ):
        with pytest.raises(npyfast.NpyFormatError, match=message(path, kept, size)):
            read()


@every_backend
def test_rows_in_fortran_order(save: Save) -> None:
    path = save(np.asfortranarray(X))
    rows = npyfast.open(path)
    os.truncate(path, 100 * PAGE)
    with pytest.raises(npyfast.NpyFormatError, match=re.escape(path)):
        rows[0]  # of which most items are still there


@every_backend
def test_other_arrays_live_on(save: Save) -> None:
    path, other = save(X), save(X)
    bad, good = npyfast.open(path), npyfast.open(other)
    os.truncate(path, PAGE)
    for _ in range(3):
        with pytest.raises(npyfast.NpyFormatError):
            bad[-1]
        assert np.array_equal(good[:], X)
    assert next(endless(other)).all()


@every_backend
def test_what_is_left_of_a_file_is_refused_as_well(save: Save) -> None:
    path = save(X)
    size = os.path.getsize(path)
    rows = npyfast.open(path)
    os.truncate(path, 100 * PAGE)
    with pytest.raises(npyfast.NpyFormatError, match=message(path, 100 * PAGE, size)):
        rows[:100]


@every_backend
def test_a_replaced_file_is_another_file(save: Save) -> None:
    """Whoever has the old one open keeps it, however short the new one is."""
    path = save(X)
    rows, iterator = npyfast.open(path), endless(path, shuffle=True)
    os.replace(save(X[:1]), path)
    assert np.array_equal(rows[:], X)
    seen = [next(iterator)[:, 0] for _ in range(ROWS // 32)]
    assert sorted(np.concatenate(seen)) == list(range(1, ROWS + 1))


@every_backend
def test_a_removed_file_can_be_read(save: Save) -> None:
    path = save(X)
    rows = npyfast.open(path)
    os.remove(path)
    assert np.array_equal(rows[:], X)


@native
def test_a_page_that_cannot_be_read(save: Save) -> None:
    """As from a disk that fails: the file of the path has all its bytes."""
    path, hidden = save(X), save(X)
    os.remove(hidden)
    rows = npyfast.open(path)
    os.link(path, hidden)
    os.replace(save(X), path)
    os.truncate(hidden, PAGE)
    with pytest.raises(OSError) as caught:
        rows[-1]
    assert caught.value.errno == errno.EIO
    assert caught.value.filename == path


@native
def test_memory_that_is_a_file(save: Save) -> None:
    path = save(X)
    memory = np.load(path, mmap_mode="r")
    os.truncate(path, PAGE)
    # Items that are not next to each other are read from memory, whoever's it is.
    with pytest.raises(ValueError, match="memory of an array can't be read or written: it belongs"):
        npyfast.open(memory[:, ::2])[-1]
    with pytest.raises(npyfast.NpyFormatError, match="fewer than a memory map of it"):
        npyfast.open(memory)


@native
def test_output_that_is_a_file(save: Save) -> None:
    path, other = save(X), save(X)
    out = np.load(other, mmap_mode="r+")
    os.truncate(other, PAGE)
    with pytest.raises(ValueError, match="memory of an array can't be read or written: it belongs"):
        npyfast.open(path).gather(range(ROWS), out=out)


@native
@pytest.mark.parametrize("when", ["before", "after"])
def test_with_faulthandler(save: Save, when: str) -> None:
    """Whoever enabled it, and when: what is an error is not reported as a crash."""
    path = save(X)
    process = processes.start("truncation_with_faulthandler.py", path, when, backend="native")
    out, err = processes.finish(process)
    assert out.count("was truncated while it was read") == 3
    # Whoever took the signal after us gives it back before rows are read.
    assert "Bus error" not in err


@native
def test_with_faulthandler_disabled_in_the_middle(save: Save) -> None:
    """It gives the signal back to whoever had it before it was enabled: not to us."""
    process = processes.start(
        "truncation_without_faulthandler.py", *(save(X) for _ in range(10)), backend="native"
    )
    out, _ = processes.finish(process)
    assert out.count("was truncated while it was read") == 10


@native
def test_a_bus_error_of_somebody_else_ends_the_process(save: Save) -> None:
    process = processes.start("bus_error.py", save(X), backend="native")
    out, err = process.communicate(timeout=processes.TIMEOUT)
    assert process.returncode == -signal.SIGBUS
    assert out.strip() == "caught"
    assert "Fatal Python error: Bus error" in err
