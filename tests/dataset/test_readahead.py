"""`readahead` of `dataset`: changes no batch, by any engine, and keeps to the memory there is."""

from __future__ import annotations

import itertools
from typing import Any

import cached
import numpy as np
import pytest
import readahead_runs
import tensorflow as tf
from samples import Dataset, Save, in_order, random_array
from tensors import assert_same

import npyfast

MODES = ["auto", "off", "whole", "rows"]
MIB = 1 << 20

SHUFFLES: list[Any] = [False, True, "block", npyfast.BlockShuffle(7, 30)]


# Rows larger than pages, files of many pages: what is read ahead matters.
@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("readahead", MODES)
def test_it_changes_no_batch(dataset: Dataset, save: Save, readahead: str, shuffle: Any) -> None:
    big = np.arange(300 * 1100, dtype=">f8").reshape(300, 1100)
    image = random_array(np.dtype("u1"), (300, 50, 70))
    fields = random_array(np.dtype([("a", "i4"), ("b", ">f8", (9,))]), (300,))
    arrays = {"big": big, "image": image, "fields": fields, "labels": np.arange(300)}
    shards = [save(part) for part in np.split(big, [1, 140])]
    alone = [save(in_order(image, "F")), save(fields), save(arrays["labels"])]
    for path in [*shards, *alone]:
        cached.evict(path)
    paths = dict(zip(arrays, [shards, *alone], strict=True))
    for rows, shard in [(None, (2, 3)), (slice(5, 290, 3), None), ([7, 3, 299, 3, -1], (0, 3))]:
        options: Any = {"seed": 5, "rows": rows, "shard": shard, "epochs": 2, "start_batch": 1}
        made = dataset(paths, 8, shuffle, readahead=readahead, **options)
        plain = npyfast.batches(arrays, 8, shuffle, readahead="off", **options)
        for tensors, wanted in itertools.zip_longest(made, plain):
            assert_same(tensors, wanted)


@pytest.mark.parametrize("readahead", MODES)
def test_single_batches(native: None, save: Save, readahead: str) -> None:
    X = np.arange(500 * 1000).reshape(500, 1000)
    path = save(X)
    cached.evict(path)
    made = npyfast.dataset(path, 8, True, seed=3, epochs=1, readahead=readahead)
    wanted = list(npyfast.batches(X, 8, True, seed=3))
    for index in [40, 3, 62, 3, 4, 5, 0]:
        assert_same(tf.data.experimental.at(made, index), wanted[index])


@pytest.mark.parametrize("engine", ["graph", "generator"])
def test_a_whole_file_is_read_once(native: None, save: Save, engine: str) -> None:
    path = save(np.zeros((4000, 2048), "u1"))
    cached.needs_told_pages(path)
    cached.evict(path)
    made = npyfast.dataset(path, 16, True, readahead="whole", engine=engine)
    assert len(list(made)) == 250
    first = npyfast.statistics(made)
    assert first.bytes_needed >= 4000 * 2048
    assert first.hit_share is not None
    assert first.hit_share < 0.2
    assert len(list(made)) == 250
    assert (npyfast.statistics(made) - first).bytes_read <= MIB


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("large") / "large.npy"
    yield path, readahead_runs.make_file(path, 320)
    path.unlink()


@pytest.mark.parametrize("engine", ["graph", "generator"])
@pytest.mark.parametrize("shuffle", [False, True, [64, 2048]], ids=["order", "full", "block"])
@pytest.mark.slow
def test_a_file_larger_than_memory(native: None, large: Any, engine: str, shuffle: Any) -> None:
    path, rows = large
    cached.evict(str(path))
    found = readahead_runs.run(path, 192, engine=engine, batch_size=64, shuffle=shuffle)
    assert (found["count"], found["distinct"]) == (rows, rows)
    assert (found["least"], found["most"]) == (0, rows - 1)
    assert found["sorted"] == (shuffle is False)
    assert found["grown"] < 48 * MIB
    assert found["read"] <= found["needed"]
