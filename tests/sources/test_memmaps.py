"""Memory maps of the caller's, which are read as the files that they map."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from expected import assert_same, assert_same_batches, epoch_batches, in_native_order
from samples import STRUCTURED, Save, random_array

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(40 * 6, dtype="i4").reshape(40, 2, 3)


def assert_is_file(view: Any, path: Any) -> None:
    source = npyfast.source(view)
    assert source.files == (str(path),)
    assert repr(source) == f"npyfast.Source({path})"
    assert_rows(view)


def assert_is_memory(view: Any) -> None:
    assert npyfast.source(view).files == ()
    assert_rows(view)


def assert_rows(view: Any) -> None:
    expected = np.array(view)
    rows = npyfast.open(view)
    assert rows.dtype == in_native_order(expected[:0], expected.dtype).dtype
    assert_same(rows[:], in_native_order(expected, expected.dtype))
    assert_same_batches(
        npyfast.batches(view, 7, shuffle=True, seed=1),
        expected,
        epoch_batches(len(expected), batch_size=7, seed=1),
    )


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: x[3:17],
        lambda x: x[3:17][2:5],
        lambda x: x[5:6],
        lambda x: x.reshape(80, 3),
        lambda x: x.reshape(-1),
        lambda x: x[4:8].ravel(),
        lambda x: x[7],  # its first axis has rows as well
        lambda x: np.asarray(x),
        lambda x: np.asarray(x)[10:],
        lambda x: x.view("u1"),
        lambda x: x.view(">i2")[1:],
        lambda x: x.view([("a", "i4"), ("b", "i4"), ("c", "i4")])[..., 0],
        lambda x: x[np.newaxis, 5:9],
    ],
)
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_rows_of_a_file(view: Callable[[Any], Any], mode: Any, save: Save) -> None:
    path = save(X)
    assert_is_file(view(np.load(path, mmap_mode=mode)), path)
    # The map may be gone when the rows are read.
    rows = npyfast.open(view(np.load(path, mmap_mode=mode)))
    gc.collect()
    assert len(rows) == len(view(X))


def test_fortran_order(save: Save) -> None:
    path = save(np.asfortranarray(X))
    mapped = np.load(path, mmap_mode="r")
    assert_is_file(mapped, path)
    assert_is_file(mapped.T, path)
    assert_is_memory(mapped[3:9])


@pytest.mark.parametrize("dtype", [">f8", "S5", "U3", "M8[s]", *STRUCTURED[:-2]], ids=str)
def test_dtypes(dtype: Any, save: Save) -> None:
    path = save(random_array(np.dtype(dtype), (9, 2)))
    assert_is_file(np.load(path, mmap_mode="r")[2:], path)


def test_a_dtype_of_another_package(save: Save) -> None:
    path = save(X.astype("u2"))
    mapped = np.load(path, mmap_mode="r").view(ml_dtypes.bfloat16)
    assert_is_file(mapped, path)


def test_raw_files(tmp_path: Path) -> None:
    path = tmp_path / "raw.bin"
    path.write_bytes(b"head" + X.tobytes() + b"tail")
    for offset, shape in ((4, X.shape), (28, (39, 2, 3)), (5, (10,))):
        mapped: Any = np.memmap(path, "i4", "r", offset, shape)
        assert_is_file(mapped, path)
    big = np.zeros((3000, 7), "i8")
    big[:, 0] = range(3000)
    (tmp_path / "big.bin").write_bytes(big.tobytes())
    # NumPy maps from the page before this offset.
    mapped = np.memmap(tmp_path / "big.bin", "i8", "r", 56 * 1500, (1500, 7))
    assert_is_file(mapped[3:], tmp_path / "big.bin")


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::2],
        lambda x: x[::-1],
        lambda x: x[:, :1],
        lambda x: x[[3, 1]],
        lambda x: x[x[:, 0, 0] > 50],
        lambda x: x + 1,
        lambda x: x.copy(),
        lambda x: x[:0],
        lambda x: np.broadcast_to(x[:1], X.shape),
    ],
)
def test_what_is_no_rows_of_a_file(view: Callable[[Any], Any], save: Save) -> None:
    assert_is_memory(view(np.load(save(X), mmap_mode="r")))


def test_private_changes_are_in_memory(save: Save) -> None:
    mapped = np.load(save(X), mmap_mode="c")
    mapped[:20] = -1
    assert_is_memory(mapped)
    assert_is_memory(mapped[30:])


def test_what_was_written_is_read(save: Save, tmp_path: Path) -> None:
    path = save(X)
    mapped = np.load(path, mmap_mode="r+")
    mapped[5] = -1
    assert_is_file(mapped, path)
    made: Any = np.lib.format.open_memmap(tmp_path / "new.npy", "w+", "f4", (30, 4))
    made[:] = np.arange(120).reshape(30, 4)
    assert_is_file(made, tmp_path / "new.npy")


def test_a_later_write_is_an_error(tmp_path: Path) -> None:
    mapped: Any = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", "f4", (30, 4))
    mapped[:] = 1
    batches = npyfast.batches(mapped, 5)
    next(iter(batches))
    mapped[7] = 2
    with pytest.raises(OSError, match=r"X\.npy|was changed"):
        list(batches)


@pytest.mark.parametrize("keep", [True, False])
def test_a_file_that_was_replaced_or_removed(save: Save, keep: bool) -> None:
    path = save(X)
    mapped = np.load(path, mmap_mode="r")
    if keep:
        os.rename(path, path + ".old")
    else:
        os.remove(path)
    assert_is_memory(mapped)
    save(-X, Path(path).name)
    new = np.load(path, mmap_mode="r")
    assert_is_memory(mapped)
    assert_is_file(new, path)
    os.remove(path)
    os.mkdir(path)
    assert_is_memory(mapped)


def test_a_file_that_is_replaced_after_the_source_was_made(save: Save) -> None:
    path = save(X)
    source = npyfast.source(np.load(path, mmap_mode="r")[3:])
    save(-X, "new.npy")
    os.replace(Path(path).parent / "new.npy", path)
    with pytest.raises(OSError, match="was changed or replaced"):
        npyfast.open(source)


def test_a_file_that_was_shortened(save: Save) -> None:
    path = save(X)
    mapped = np.load(path, mmap_mode="r")
    os.truncate(path, 600)
    with pytest.raises(npyfast.NpyFormatError, match=r"array-1.npy: .* truncated"):
        npyfast.open(mapped)


def test_without_the_kernels_list(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("npyfast._sources.memmaps._MAPS", "/nowhere")
    assert_is_memory(np.load(save(X), mmap_mode="r"))


def test_with_options(save: Save) -> None:
    mapped = np.load(save(X), mmap_mode="r")
    rows = npyfast.open(npyfast.source(mapped[1:], cast="f4", scale=0.5, row_shape=6))
    assert_same(rows[:], X[1:].reshape(39, 6).astype("f4") * np.float32(0.5))
    with pytest.raises(ValueError, match="per_file is for files, not for an array in memory"):
        npyfast.source(mapped, per_file="row")
