"""Direct reads of data that does not fit in memory: they change no batch, whatever reads."""

from __future__ import annotations

import itertools
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import cached
import expected
import numpy as np
import processes
import pytest
from backends import use_backend
from deadlines import wait_until
from direct_reads import METHODS, has_direct_reads, let_go_of, memory_of
from expected import assert_same_batches
from hypothesis import given
from hypothesis import strategies as st
from samples import Save, dtypes, in_order, random_array
from strategies import given_options, nests, options

import npyfast

SHUFFLES: list[Any] = [False, True, npyfast.BlockShuffle(7, 30), npyfast.BlockShuffle(20, 200)]

pytestmark = pytest.mark.usefixtures("native")


def rows_of(count: int, numbers: int = 1100) -> np.ndarray[Any, Any]:
    """Rows of several pages, each of which begins with its number."""
    array = np.random.default_rng(0).integers(0, 1 << 60, (count, numbers))
    array[:, 0] = np.arange(count)
    return array


def assert_read_directly(made: npyfast.Batches, path: str) -> None:
    """What reads the rows changes no batch, so nothing else would tell."""
    assert (made.statistics.bytes_direct > 0) == has_direct_reads(path), made.statistics


@pytest.mark.slow
@given(data=st.data(), rows=st.integers(1, 60), method=st.sampled_from([*METHODS, "off"]))
def test_they_change_no_batch(data: st.DataObject, rows: int, method: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arrays, sources = data.draw(nests(Path(folder), rows, dtypes()))
        let_go_of(Path(folder))
        made = data.draw(options(rows))
        memory = data.draw(st.sampled_from(["200KB", "2MB", "100"]))
        with use_backend("native"), memory_of(memory, method):
            batches = npyfast.batches(sources, **given_options(made))
            for k in range(2):
                wanted = itertools.islice(expected.iteration(rows, k=k, **made), 100)
                limited: Any = itertools.islice(batches, 100)
                assert_same_batches(limited, arrays, wanted)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("method", METHODS)
def test_nests(save_cold: Save, method: str, shuffle: Any, threads: int) -> None:
    big = np.arange(300 * 1100, dtype=">f8").reshape(300, 1100)
    image = random_array(np.dtype("u1"), (300, 50, 70))
    fields = random_array(np.dtype([("a", "i4"), ("b", ">f8", (9,))]), (300,))
    arrays = {"big": big, "image": image, "fields": fields, "labels": np.arange(300)}
    paths: dict[str, Any] = {
        "big": [save_cold(part) for part in np.split(big, [1, 140])],
        "image": save_cold(in_order(image, "F")),
        "fields": save_cold(fields),
        "labels": save_cold(arrays["labels"]),
    }
    for rows, shard in [(None, (2, 3)), (slice(5, 290), (0, 2)), ([7, 3, 299, 3, -1], (0, 3))]:
        wanted: Any = {"seed": 5, "rows": rows, "shard": shard, "epochs": 3, "start_batch": 1}
        with memory_of("2MB", method):
            made = npyfast.batches(paths, 8, shuffle, threads=threads, **wanted)
            plain = npyfast.batches(arrays, 8, shuffle, readahead="off", **wanted)
            for ours, theirs in zip(made, plain, strict=True):
                np.testing.assert_equal(ours, theirs)
        if rows is None and shuffle is True:
            assert_read_directly(made, paths["fields"])


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000, 5000])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_every_row_once(save_cold: Save, shuffle: Any, batch_size: int) -> None:
    array = rows_of(2000)
    path = save_cold(array)
    with memory_of("14MB"):
        made = npyfast.batches(path, batch_size, shuffle, seed=1)
        for _ in range(3):
            rows = np.concatenate([batch[:, 0] for batch in made])
            assert sorted(rows) == list(range(2000))
        for batch in made:
            np.testing.assert_array_equal(batch, array[batch[:, 0]])
    if batch_size <= 64:  # of larger batches, two windows of blocks take too much of this memory
        assert_read_directly(made, path)


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_file(tmp_path: Path, save_cold: Save, method: str) -> None:
    array = rows_of(700)
    raw = tmp_path / "raw.bin"
    raw.write_bytes(b"odd" + array.tobytes())
    archive = tmp_path / "a.npz"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.write(save_cold(array), "x.npy")
    sources = {
        "raw": npyfast.source(raw, dtype="i8", shape=array.shape, offset=3),
        "npz": npyfast.source(archive, key="x"),
        "cast": npyfast.source(save_cold(array), cast="f8", scale=0.5),
        "shape": npyfast.source(save_cold(array), row_shape=(2, 550)),
    }
    with memory_of("4MB", method):
        made = npyfast.batches(sources, 16, shuffle=True, seed=2)
        for batch in made:
            rows = batch["raw"][:, 0]
            np.testing.assert_array_equal(batch["raw"], array[rows])
            np.testing.assert_array_equal(batch["npz"], array[rows])
            np.testing.assert_array_equal(batch["cast"], array[rows] * 0.5)
            np.testing.assert_array_equal(batch["shape"], array[rows].reshape(-1, 2, 550))
    assert_read_directly(made, str(raw))


@pytest.mark.parametrize(
    ("dtype", "cast", "shard"),
    [
        ("u1", None, None),
        ("u1", "f4", (1, 2)),
        (">i4", None, (0, 2)),
        ([("a", "u1"), ("b", ">f8")], None, None),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_tiles(save_cold: Save, method: str, dtype: Any, cast: Any, shard: Any) -> None:
    kind = np.dtype(dtype)
    width = 300 // kind.itemsize  # of a tile
    # Tiles of the narrow image are one read each, those of the others twenty.
    images = [random_array(kind, (200, count * width)) for count in (100, 16, 100)]
    views = [np.lib.stride_tricks.sliding_window_view(image, (20, width)) for image in images]
    tiles = np.concatenate([view[::20, ::width].reshape(-1, 20, width) for view in views])
    labels = np.arange(len(tiles))
    paths = [save_cold(image) for image in images]
    source = npyfast.source(paths, window=(20, width), stride=(20, width), cast=cast)
    wanted: Any = {"seed": 3, "shard": shard, "epochs": 2, "start_batch": 2}
    with memory_of("7MB", method):
        made = npyfast.batches((source, save_cold(labels)), 16, True, **wanted)
        plain = npyfast.batches((npyfast.source(tiles, cast=cast), labels), 16, True, **wanted)
        for ours, theirs in zip(made, plain, strict=True):
            np.testing.assert_equal(ours, theirs)
    assert_read_directly(made, paths[0])


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_windows_in_fortran_order(save_cold: Save, shuffle: Any) -> None:
    series = np.arange(120_000 * 6, dtype="i8").reshape(120_000, 6)
    path = save_cold(in_order(series, "F"))
    source = npyfast.source(path, window=100, stride=250)
    with memory_of("4MB"):
        made = npyfast.batches(source, 8, shuffle, seed=1)
        for _ in range(2):
            windows = np.concatenate(list(made))
            first_items = windows[:, 0, 0] // 6
            assert sorted(first_items) == list(range(0, 119_901, 250))
            for first, window in zip(first_items, windows, strict=True):
                np.testing.assert_array_equal(window, series[first : first + 100])
    if shuffle is True:
        assert_read_directly(made, path)


def test_large_rows_and_batches(save_cold: Save) -> None:
    array = rows_of(40, 300_000)  # 2.4 MB a row
    with memory_of("90MB"):
        made = npyfast.batches(save_cold(array), 9, shuffle=True, threads=3)
        for batch in made:
            np.testing.assert_array_equal(batch, array[batch[:, 0]])


def test_a_part_stays_in_memory(save_cold: Save) -> None:
    array = rows_of(4000)  # 35 MB
    path = save_cold(array)
    cached.evict(path)
    with memory_of("20MB"):
        made = npyfast.batches(path, 32, shuffle=True)
        for _ in made:
            pass
        wait_until(lambda: cached.cached(path).mean() > 0.3)
        before = made.statistics
        for batch in made:
            np.testing.assert_array_equal(batch, array[batch[:, 0]])
    spent = made.statistics - before
    part = spent.bytes_resident / array.nbytes
    assert 0.3 < part < 0.6
    assert cached.cached(path).mean() < 0.6  # what is read directly is in no cache


@pytest.fixture
def row_files(save_cold: Save) -> tuple[np.ndarray[Any, Any], list[str]]:
    array = rows_of(400)
    return array, [save_cold(row) for row in array]


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_files_of_one_row(
    save: Save, row_files: tuple[np.ndarray[Any, Any], list[str]], shuffle: Any
) -> None:
    array, paths = row_files
    source = npyfast.source(paths, per_file="row"), save(np.arange(400))
    with memory_of("2MB"):
        made = npyfast.batches(source, 16, shuffle, threads=4)
        for _ in range(3):
            for batch, rows in made:
                np.testing.assert_array_equal(batch, array[rows])
    share = np.mean([cached.cached(path).all() for path in paths[1:]])
    if not has_direct_reads(paths[0]):
        assert share == 1
    elif shuffle is True:
        assert 0.2 < share < 0.5  # always the same ones
    else:
        assert share == 0


def test_files_of_one_row_that_fit_are_left_to_the_page_cache(
    row_files: tuple[np.ndarray[Any, Any], list[str]],
) -> None:
    _, paths = row_files
    for memory, method in [("20MB", "auto"), ("2MB", "off")]:
        for path in paths:
            cached.let_go(path)
        with memory_of(memory, method):
            for _ in npyfast.batches(npyfast.source(paths, per_file="row"), 16, True):
                pass
        assert all(cached.cached(path).all() for path in paths)


def test_rows_that_fit_are_left_to_the_page_cache(save_cold: Save) -> None:
    path = save_cold(rows_of(4000))
    with memory_of("20MB"):
        made = npyfast.batches(path, 32, shuffle=True, rows=range(0, 4000, 8))
        for _ in made:
            pass
    assert made.statistics.bytes_direct == 0


def test_they_can_be_switched_off(save_cold: Save) -> None:
    path = save_cold(rows_of(1000))
    with memory_of("1MB", "off"):
        made = npyfast.batches(path, 32, shuffle=True)
        assert sum(len(batch) for batch in made) == 1000
    assert made.statistics.bytes_direct == 0


def test_a_file_system_without_them() -> None:
    if not os.path.ismount("/dev/shm"):
        pytest.skip("there is no tmpfs at /dev/shm")
    array = rows_of(500)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, memory_of("1MB"):
        np.save(f"{folder}/x.npy", array)
        made = npyfast.batches(f"{folder}/x.npy", 16, shuffle=True)
        for batch in made:
            np.testing.assert_array_equal(batch, array[batch[:, 0]])
    assert made.statistics.bytes_direct == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NPYFAST_MEMORY", "much"),
        ("NPYFAST_MEMORY", "-1"),
        ("NPYFAST_MEMORY", "1 XB"),
        ("NPYFAST_DIRECT_READS", "uring"),
    ],
)
def test_bad_settings(
    save_cold: Save, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    path = save_cold(rows_of(100))
    monkeypatch.setenv("NPYFAST_MEMORY", "1KB")
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        next(iter(npyfast.batches(path, 8, shuffle=True)))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_dropped_iterators(save_cold: Save, no_thread_is_left: None, shuffle: Any) -> None:
    array = rows_of(2000)
    with memory_of("14MB"):
        made = npyfast.batches(save_cold(array), 16, shuffle, seed=3)
        for taken in range(12):
            for batch in itertools.islice(made, taken):
                np.testing.assert_array_equal(batch, array[batch[:, 0]])


def test_two_iterators_at_once(save_cold: Save) -> None:
    array = rows_of(2000)
    path = save_cold(array)
    with memory_of("14MB"):
        training = npyfast.batches(path, 16, True, seed=3, rows=slice(0, 1500))
        validation = npyfast.batches(path, 16, True, rows=slice(1500, None))
        for first, second in zip(training, itertools.cycle(validation), strict=False):
            np.testing.assert_array_equal(first, array[first[:, 0]])
            np.testing.assert_array_equal(second, array[second[:, 0]])


@pytest.mark.parametrize("block_rows", [0, 7])
@pytest.mark.parametrize("method", METHODS)
def test_fork(save_cold: Save, method: str, block_rows: int) -> None:
    said = processes.run(
        "fork_with_direct_reads.py",
        save_cold(rows_of(2000)),
        block_rows,
        backend="native",
        NPYFAST_MEMORY="14MB",
        NPYFAST_DIRECT_READS=method,
    )
    assert said == "both"


def test_fork_with_files_of_one_row(row_files: tuple[np.ndarray[Any, Any], list[str]]) -> None:
    _, paths = row_files
    said = processes.run(
        "fork_with_direct_reads.py",
        os.path.dirname(paths[0]),
        0,
        backend="native",
        NPYFAST_MEMORY="1MB",
    )
    assert said == "both"


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("method", METHODS)
def test_a_truncated_file(save_cold: Save, method: str, shuffle: Any) -> None:
    array = rows_of(3000)
    path = save_cold(array)
    with memory_of("8MB", method):
        made = iter(npyfast.batches(path, 16, shuffle, seed=3, epochs=-1))
        next(made)
        os.truncate(path, 1_000_000)

        def read_on() -> None:
            for batch in made:
                np.testing.assert_array_equal(batch, array[batch[:, 0]])

        with pytest.raises((npyfast.NpyFormatError, OSError), match=os.path.basename(path)):
            read_on()


def test_a_resumed_iterator(save_cold: Save) -> None:
    array = rows_of(2000)
    with memory_of("14MB"):
        made = npyfast.batches(save_cold(array), 16, True, seed=3, epochs=2)
        whole = [batch[:, 0].tolist() for batch in made]
        iterator = iter(made)
        for _ in range(50):
            next(iterator)
        resumed = iter(made)
        resumed.set_state(iterator.get_state())
        assert [batch[:, 0].tolist() for batch in resumed] == whole[50:]
