"""`readahead`: changes no batch, keeps to the memory there is, and leaves the page cache alone."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import cached
import expected
import numpy as np
import pytest
import readahead_runs
from backends import BACKENDS, use_backend
from deadlines import wait_until
from expected import assert_same, assert_same_batches
from hypothesis import given
from hypothesis import strategies as st
from samples import Save, dtypes, in_order, random_array
from strategies import given_options, nests, options

import npyfast

MODES = ["auto", "off", "whole", "rows"]
MIB = 1 << 20

SHUFFLES: list[Any] = [False, True, "block", npyfast.BlockShuffle(7, 30)]


@pytest.mark.slow
@given(data=st.data(), rows=st.integers(0, 60), threads=st.none() | st.integers(1, 3))
def test_it_changes_no_batch(data: st.DataObject, rows: int, threads: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arrays, sources = data.draw(nests(Path(folder), rows, dtypes()))
        made = data.draw(options(rows))
        for backend, readahead in itertools.product(BACKENDS, MODES):
            with use_backend(backend):
                batches = npyfast.batches(
                    sources, threads=threads, readahead=readahead, **given_options(made)
                )
                for k in range(2):
                    wanted = itertools.islice(expected.iteration(rows, k=k, **made), 100)
                    limited: Any = itertools.islice(batches, 100)
                    assert_same_batches(limited, arrays, wanted)


# Rows larger than pages, files of many pages: what is read ahead matters.
@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("readahead", MODES)
def test_cold_files(save: Save, backend: str, readahead: str, shuffle: Any) -> None:
    big = np.arange(300 * 1100, dtype=">f8").reshape(300, 1100)
    image = random_array(np.dtype("u1"), (300, 50, 70))
    fields = random_array(np.dtype([("a", "i4"), ("b", ">f8", (9,))]), (300,))
    labels = np.arange(300)
    paths = {
        "big": [save(part) for part in np.split(big, [1, 140])],
        "image": save(in_order(image, "F")),
        "fields": save(fields),
        "labels": save(labels),
    }
    arrays = {"big": big, "image": image, "fields": fields, "labels": labels}
    for path in [*paths["big"], paths["image"], paths["fields"], paths["labels"]]:
        cached.evict(path)
    some = {"rows": None, "slice": slice(5, 290, 3), "list": [7, 3, 299, 3, -1]}
    for rows, shard in itertools.product(some.values(), [None, (0, 3), (2, 3)]):
        given_options = {"seed": 5, "rows": rows, "shard": shard, "epochs": 2, "start_batch": 1}
        made = npyfast.batches(paths, 8, shuffle, readahead=readahead, **given_options)
        plain = npyfast.batches(arrays, 8, shuffle, readahead="off", **given_options)
        for batch, wanted in itertools.zip_longest(made, plain):
            assert_same(batch, wanted)


def test_the_numpy_backend_takes_every_mode(save: Save) -> None:
    X = np.arange(20)
    with use_backend("numpy"):
        for readahead in MODES:
            found = list(npyfast.batches(save(X), 20, readahead=readahead))
            assert_same(found[0], X)


# --- What is in the page cache.


def test_a_whole_file_is_read_once(native: None, save: Save) -> None:
    path = save(np.zeros((4000, 2048), "u1"))
    cached.needs_told_pages(path)
    cached.evict(path)
    made = npyfast.batches(path, 16, True, readahead="whole")
    iterator = iter(made)
    next(iterator)
    wait_until(lambda: bool(cached.cached(path).all()))
    assert len(list(iterator)) == 249
    first = made.statistics
    assert first.bytes_needed >= 4000 * 2048
    assert first.hit_share is not None
    assert first.hit_share < 0.2
    for _ in made:  # from memory
        pass
    assert (made.statistics - first).bytes_read <= MIB


@pytest.mark.parametrize("shuffle", [False, True, npyfast.BlockShuffle(64, 1024)])
def test_statistics_of_rows(native: None, save: Save, shuffle: Any) -> None:
    path = save(np.zeros((1000, 32 << 10), "u1"))
    cached.needs_told_pages(path)
    cached.evict(path)

    def epoch() -> npyfast.Statistics:
        made = npyfast.batches(path, 16, shuffle, readahead="rows")
        assert len(list(made)) == 63
        return made.statistics

    cold = epoch()
    # Looked at now and then: an estimate, of pages that rows may share.
    assert 1000 * (32 << 10) / 2 < cold.bytes_needed < 1000 * (40 << 10) * 2
    assert cold.bytes_read <= cold.bytes_needed
    assert cold.hit_share is not None
    assert cold.hit_share < 0.3
    cached.read(path, 0, Path(path).stat().st_size)
    warm = epoch()
    assert warm.bytes_read == 0
    assert warm.hit_share == 1


@pytest.mark.parametrize("shuffle", [False, npyfast.BlockShuffle(64, 2048)])
def test_nothing_stays_behind_the_reader_but_what_was_there(
    native: None, save: Save, shuffle: Any
) -> None:
    cold = save(np.zeros((4000, 4096), "u1"))
    warm = save(np.ones((4000, 4096), "u1"))
    cached.needs_told_pages(warm)
    for path in (cold, warm):
        cached.evict(path)
    cached.read(warm, 0, Path(warm).stat().st_size)
    made = npyfast.batches([cold, warm], 32, shuffle, readahead="rows")
    total = sum(int(batch[:, 0].sum()) for batch in made)
    assert total == 4000
    del made
    # Pages at the borders of what is read together may stay.
    assert cached.cached(cold).mean() < 0.1
    assert cached.cached(warm).mean() > 0.9


# --- With less memory than data.


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("large") / "large.npy"
    yield path, readahead_runs.make_file(path, 320)
    path.unlink()


@pytest.mark.parametrize(
    ("shuffle", "readahead"),
    # Not off and shuffled: that takes as long as it does without npyfast.
    [
        (False, "off"),
        *itertools.product([False, True, [64, 2048]], ["auto", "whole", "rows"]),
    ],
)
@pytest.mark.slow
def test_a_file_larger_than_memory(native: None, large: Any, shuffle: Any, readahead: str) -> None:
    path, rows = large
    cached.evict(str(path))
    found = readahead_runs.run(path, 96, batch_size=64, shuffle=shuffle, readahead=readahead)
    assert (found["count"], found["distinct"]) == (rows, rows)
    assert (found["least"], found["most"]) == (0, rows - 1)
    assert found["sorted"] == (shuffle is False)
    assert found["grown"] < 32 * MIB
    assert found["read"] <= found["needed"]


# Whoever else has files in memory keeps them.
@pytest.mark.parametrize("shuffle", [False, [64, 2048]], ids=["order", "block"])
def test_other_files_stay_in_memory(native: None, large: Any, save: Save, shuffle: Any) -> None:
    path, rows = large
    other = save(np.zeros(24 * MIB, "u1"))
    cached.evict(other)
    cached.evict(str(path))
    found = readahead_runs.run(
        path, 160, batch_size=64, shuffle=shuffle, readahead="auto", read_first=other
    )
    assert found["count"] == rows
    assert found["other"] > 0.9
    # Nor is this one there.
    assert cached.cached(str(path)).mean() < 0.1
