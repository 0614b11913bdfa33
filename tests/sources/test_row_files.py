"""`per_file="row"`: every file is one row, as np.stack makes it of them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import expected
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from samples import Save, in_order, random_array

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(72, dtype="f4").reshape(12, 3, 2)
Y = np.arange(12)


def rows_in(paths: Any, **options: Any) -> npyfast.Source:
    return npyfast.source(paths, per_file="row", **options)


def read(source: Any) -> Any:
    return np.asarray(npyfast.open(source))


@pytest.fixture
def files(save: Save) -> list[str]:
    return [save(row, f"rows/{number}.npy") for number, row in enumerate(X)]


def test_from_a_list_a_pattern_and_a_directory(files: list[str], tmp_path: Path) -> None:
    for source in (files, f"{tmp_path}/rows/*.npy", tmp_path / "rows", [Path(p) for p in files]):
        leaf = rows_in(source)
        assert leaf.files == tuple(files)  # 2 before 10
        assert_same(read(leaf), X)
    assert repr(rows_in(files)) == (f"npyfast.Source({files[0]} and 11 more files, per_file='row')")
    assert_same(read(rows_in(files[::-1] + files[:1])), np.concatenate([X[::-1], X[:1]]))
    assert_same(read(rows_in(files[3])), X[3:4])


def test_rows_that_are_asked_for(files: list[str]) -> None:
    rows = npyfast.open(rows_in(files))
    assert (rows.shape, rows.dtype) == (X.shape, X.dtype)
    assert_same(rows[[7, -1, 0, 7]], X[[7, -1, 0, 7]])
    assert_same(rows[::-3], X[::-3])
    assert_same(rows[[]], X[:0])
    out = np.empty((2, 3, 2), "f4")
    assert_same(rows.gather([3, 1], out=out), X[[3, 1]])
    with pytest.raises(IndexError, match="row 12 is out of range for 12 rows"):
        rows[[3, 12]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_with_labels_beside(files: list[str], save: Save, shuffle: bool) -> None:
    seed = 1 if shuffle else None
    made = npyfast.batches({"x": rows_in(files), "y": save(Y)}, 5, shuffle, seed=seed, epochs=2)
    wanted = expected.iteration(12, batch_size=5, seed=seed, epochs=2)
    assert_same_batches(made, {"x": X, "y": Y}, wanted)


def test_a_part_of_the_rows(files: list[str]) -> None:
    made = npyfast.batches((rows_in(files), Y), 4, True, seed=2, rows=np.arange(12) % 3 > 0)
    wanted = expected.epoch_batches(12, batch_size=4, seed=2, rows=np.arange(12) % 3 > 0)
    assert_same_batches(made, (X, Y), wanted)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize(
    "dtype",
    ["?", "f2", ">f4", "V2", "g", ">c16", "S5", "U3", "M8[s]", [("a", ">i2"), ("b", "f4", (2,))]],
    ids=str,
)
def test_dtypes_and_layouts(save: Save, dtype: Any, order: str) -> None:
    array = random_array(np.dtype(dtype), (7, 3, 2))
    leaf = rows_in([save(in_order(row, order)) for row in array])
    wanted = expected.epoch_batches(7, batch_size=3, seed=1)
    assert_same_batches(npyfast.batches(leaf, 3, True, seed=1), array, wanted)
    assert_same(read(leaf), expected.in_native_order(array, array.dtype))


def test_files_of_both_layouts(save: Save) -> None:
    leaf = rows_in([save(in_order(row, "CF"[i % 2])) for i, row in enumerate(X)])
    assert_same(read(leaf), X)


def test_scalars(save: Save) -> None:
    leaf = rows_in([save(np.float64(number)) for number in range(9)])
    assert npyfast.open(leaf).shape == (9,)
    assert_same(read(leaf), np.arange(9.0))
    wanted = expected.epoch_batches(9, batch_size=4, seed=1)
    assert_same_batches(npyfast.batches(leaf, 4, True, seed=1), np.arange(9.0), wanted)


def test_rows_of_nothing(save: Save) -> None:
    assert_same(read(rows_in([save(X[0, :, :0])] * 3)), X[:3, :, :0])


def test_a_shape_and_a_cast(files: list[str]) -> None:
    leaf = rows_in(files, row_shape=(2, -1), cast="float64", scale=[1, 2, 3])
    wanted = X.reshape(12, 2, 3).astype("f8") * np.array([1, 2, 3])
    assert_same(read(leaf), wanted)


BAD = {
    "another shape": (X[0].T.copy(), ValueError, "one shape: {first} has (3, 2), {bad} has (2, 3)"),
    "another dtype": (X[0] > 3, ValueError, "one dtype: {first} has float32, {bad} has bool"),
    "objects": (np.array([None]), TypeError, "{bad}: holds Python objects"),
    "truncated": (None, npyfast.NpyFormatError, "{bad}: holds 20 bytes of data, its header prom"),
    "text": (b"nonsense", npyfast.NpyFormatError, "{bad}: not a readable .npy file: "),
    "missing": ("", FileNotFoundError, "{bad}"),
}


@pytest.mark.parametrize(("content", "error", "text"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named(files: list[str], content: Any, error: Any, text: str) -> None:
    bad = files[7]
    if content is None:
        os.truncate(bad, os.path.getsize(bad) - 4)
    elif isinstance(content, bytes):
        Path(bad).write_bytes(content)
    elif isinstance(content, str):
        os.unlink(bad)
    else:
        np.save(bad, content, allow_pickle=True)
    message = re.escape(text.format(first=files[0], bad=bad))
    rows = npyfast.open(rows_in(files))
    assert_same(rows[:7], X[:7])
    with pytest.raises(error, match=message):
        rows[[8, 7]]
    batches = iter(npyfast.batches((rows_in(files), Y), 5))
    next(batches)
    with pytest.raises(error, match=message):
        next(batches)
    # and when it is the first
    if text.startswith("{bad}"):
        for reader in (npyfast.open, npyfast.batches):
            with pytest.raises(error, match=message):
                reader(rows_in(files[7:]))


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the directory has no .npy files"):
        rows_in(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file matches the pattern"):
        rows_in(f"{tmp_path}/*.npy")


def test_another_number_of_labels(files: list[str]) -> None:
    text = f"{files[0]} and 11 more files has 12, the array of shape (11,) in memory has 11"
    with pytest.raises(ValueError, match=re.escape(text)):
        npyfast.batches((rows_in(files), Y[:11]))
