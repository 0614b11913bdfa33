"""Whatever the options: native = NumPy = `np.load(path)[rows]`, and a dataset gives its batches."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import expected
import numpy as np
from backends import BACKENDS, use_backend
from expected import assert_same, assert_same_batches, in_native_order, same_bits
from hypothesis import given
from hypothesis import strategies as st
from samples import dtypes
from strategies import given_options, leaves, nests, options

import npyfast


def rows_of_iteration(rows: int, made: dict[str, Any], k: int) -> list[Any]:
    """The row numbers of the batches of an iteration, of an endless one the first."""
    return list(itertools.islice(expected.iteration(rows, k=k, **made), 200))


@given(data=st.data(), rows=st.integers(0, 60), threads=st.none() | st.integers(1, 4))
def test_batches(data: st.DataObject, rows: int, threads: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arrays, sources = data.draw(nests(Path(folder), rows, dtypes()))
        made = data.draw(options(rows))
        for name in BACKENDS:
            with use_backend(name):
                batches = npyfast.batches(sources, threads=threads, **given_options(made))
                for k in range(2):
                    wanted = rows_of_iteration(rows, made, k)
                    if made["epochs"] == -1:
                        limited = itertools.islice(batches, len(wanted))
                        assert_same_batches(limited, arrays, wanted)
                    else:
                        assert_same_batches(batches, arrays, wanted)
                        assert len(batches) == len(wanted)


@given(data=st.data(), rows=st.integers(1, 60), threads=st.none() | st.integers(1, 4))
def test_rows(data: st.DataObject, rows: int, threads: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        array, source = data.draw(leaves(Path(folder), rows, dtypes()))
        indices = np.array(
            data.draw(st.lists(st.integers(-rows, rows - 1), max_size=100)), np.int64
        )
        selection = data.draw(st.slices(rows))
        native = array.dtype.newbyteorder("=")
        for name in BACKENDS:
            with use_backend(name):
                opened = npyfast.open(source)
                assert opened.dtype == native
                assert opened.shape == array.shape
                for picked, wanted in (
                    (opened.gather(indices, threads=threads), array[indices]),
                    (opened[selection], array[selection]),
                ):
                    assert picked.dtype == native
                    assert picked.shape == wanted.shape
                    assert same_bits(picked, in_native_order(wanted, array.dtype))


@given(data=st.data(), rows=st.integers(1, 60), stop=st.integers(0, 50))
def test_resuming(data: st.DataObject, rows: int, stop: int) -> None:
    """What is left of an iteration is the iteration from its position on."""
    array = np.arange(rows)
    made = data.draw(options(rows).filter(lambda made: made["epochs"] is not None))
    for name in BACKENDS:
        with use_backend(name):
            batches = npyfast.batches(array, **given_options(made))
            stream = iter(batches)
            given_out = sum(1 for _ in itertools.islice(stream, stop))
            epoch, batch = stream.position
            epochs = made["epochs"]
            if epochs > 0:
                epochs -= epoch - made["start_epoch"]
                if epochs == 0 or len(batches) == 0:
                    assert next(stream, None) is None
                    continue
            later = {**given_options(made), "start_epoch": epoch, "start_batch": batch}
            rest = iter(npyfast.batches(array, **{**later, "epochs": epochs}))
            left = 20 if epochs < 0 else len(batches) - given_out
            for _ in range(left):
                a = next(stream, None)
                if a is None:  # no batches at all
                    break
                assert_same(next(rest), a)
            if epochs > 0:
                assert next(stream, None) is None
                assert next(rest, None) is None


@given(rows=st.integers(0, 200), made=st.data(), count=st.integers(1, 6))
def test_workers_together_have_the_global_batches(
    rows: int, made: st.DataObject, count: int
) -> None:
    chosen = made.draw(options(rows))
    chosen.pop("shard", None)
    chosen.update(epochs=2, start_batch=0)
    size = chosen.pop("batch_size")
    for name in BACKENDS:
        with use_backend(name):
            whole = npyfast.batches(np.arange(rows), size * count, **given_options(chosen))
            workers = [
                npyfast.batches(np.arange(rows), size, shard=(i, count), **given_options(chosen))
                for i in range(count)
            ]
            for batch, *parts in zip(whole, *workers, strict=True):
                assert_same(np.concatenate(parts), batch)
