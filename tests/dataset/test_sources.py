"""Every kind of source as a tf.data.Dataset, by every engine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from expected import epoch_batches
from samples import Dataset, Save, in_order
from tensors import assert_same_dataset, engine_of

import npyfast

X = np.arange(103 * 12, dtype="f4").reshape(103, 4, 3)
Y = np.arange(103)


def spec(shape: Any, dtype: Any) -> Any:
    return tf.TensorSpec(shape, dtype)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    """A folder with X in every kind of file, whole and in parts, and Y beside it."""
    parts = [*np.split(X, [10, 11, 70])]
    for number, part in enumerate(parts):
        np.save(tmp_path / f"{number}.npy", in_order(part, "CF"[number % 2]))
        np.savez(tmp_path / f"{number}.npz", x=part, y=Y[: len(part)])
        part.tofile(tmp_path / f"{number}.bin")
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["g/x"] = part
            file.create_dataset("g/chunked", data=part, chunks=(1, 4, 1), compression="gzip")
    (tmp_path / "rows").mkdir()
    for number, row in enumerate(X):
        np.save(tmp_path / "rows" / f"{number}.npy", row)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*h5py reads it", RuntimeWarning)
        yield tmp_path


SOURCES: dict[str, dict[str, Any]] = {
    "npy": {"path": "?.npy"},
    "rows": {"path": "rows", "per_file": "row"},
    "npz": {"path": "*.npz", "key": "x"},
    "raw": {"path": "*.bin", "dtype": "float32", "shape": (-1, 4, 3)},
    "HDF5": {"path": "*.h5", "key": "g/x"},
    "chunked HDF5": {"path": "*.h5", "key": "g/chunked"},
}


@pytest.mark.parametrize("options", SOURCES.values(), ids=SOURCES)
def test_every_kind_of_source(
    dataset: Dataset, files: Path, save: Save, engine: str, options: dict[str, Any]
) -> None:
    options = {**options, "path": f"{files}/{options['path']}"}
    by_python = options.get("key") == "g/chunked"
    if by_python and engine == "graph":
        with pytest.raises(ValueError, match="engine='graph' is not available: a source is re"):
            dataset(npyfast.source(**options))
        return
    nest = {
        "x": npyfast.source(**options),
        "y": save(Y, "y/y.npy"),
        "made": npyfast.source(**options, row_shape=-1, cast="float64", scale=0.5),
    }
    whole = {"x": X, "y": Y, "made": X.reshape(103, 12).astype("f8") * 0.5}
    rows = np.arange(103) % 5 > 0
    made = dataset(nest, 10, True, seed=4, rows=rows)
    assert made.element_spec == {
        "x": spec((None, 4, 3), tf.float32),
        "y": spec((None,), tf.int64),
        "made": spec((None, 12), tf.float64),
    }
    assert_same_dataset(made, whole, epoch_batches(103, batch_size=10, seed=4, rows=rows))
    assert engine_of(made) == engine
    if engine == "graph":  # what "auto" takes
        assert engine_of(npyfast.dataset(nest, 10)) == engine


def test_files_of_one_row_written_anew(dataset: Dataset, save: Save) -> None:
    """A notebook runs the cell again that makes them: another dataset has other rows."""
    for array in (X, X[:, :2].astype("i8"), X[::-1].copy()):
        paths = [save(row, f"again/{i}.npy") for i, row in enumerate(array)]
        made = dataset(npyfast.source(paths, per_file="row"), 20)
        assert_same_dataset(made, array, epoch_batches(103, batch_size=20))


def test_chunked_hdf5_takes_the_generator(files: Path) -> None:
    made = npyfast.dataset(npyfast.source(files / "0.h5", key="g/chunked"))
    assert engine_of(made) == "generator"


def test_nests_of_shards_of_different_lengths(dataset: Dataset, files: Path, save: Save) -> None:
    nest = {
        "x": (f"{files}/?.npy", [save(X[:1], "a/0.npy"), save(X[1:], "a/1.npy")]),
        "y": npyfast.source(
            [save(part, f"y/{len(part):02}.npy") for part in np.split(Y, [40, 45])]
        ),
    }
    made = dataset(nest, 10, True, seed=4)
    assert_same_dataset(made, {"x": (X, X), "y": Y}, epoch_batches(103, batch_size=10, seed=4))


def test_files_of_several_arrays(dataset: Dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/x"], file["train/y"] = X, Y
    made = dataset((tmp_path / "a.npz", tmp_path / "a.h5"), 10, True, seed=4)
    whole = ({"x": X, "y": Y}, {"train/x": X, "train/y": Y})
    assert_same_dataset(made, whole, epoch_batches(103, batch_size=10, seed=4))


def test_bfloat16(dataset: Dataset, save: Save) -> None:
    array = np.linspace(-3, 3, 66).reshape(22, 3).astype(ml_dtypes.bfloat16)
    records = np.zeros(22, [("a", "V2", (3,)), ("b", ">f4")])
    records["a"] = array.view("V2")
    made = dataset((save(array), save(records)), 4, True, seed=1)
    assert made.element_spec == (
        spec((None, 3), tf.bfloat16),
        {"a": spec((None, 3), tf.bfloat16), "b": spec((None,), tf.float32)},
    )
    whole = (array, {"a": array, "b": records["b"]})
    assert_same_dataset(made, whole, epoch_batches(22, batch_size=4, seed=1))
    for x, _ in dataset((save(array), save(records)), 22):
        assert tf.reduce_sum(tf.cast(x, tf.float32)).numpy() == array.astype("f4").sum()


@pytest.mark.usefixtures("backend")
def test_bfloat16_in_memory_and_transformed(save: Save) -> None:
    array = np.linspace(-3, 3, 66).reshape(22, 3).astype(ml_dtypes.bfloat16)
    rows = epoch_batches(22, batch_size=4, seed=1)
    for view in (array, array.view("V2")):
        made = npyfast.dataset(view, 4, True, seed=1)
        assert made.element_spec == spec((None, 3), tf.bfloat16)
        assert_same_dataset(made, array, rows)
    seen = []

    def transform(x: Any) -> Any:
        seen.append(x.dtype)
        return x

    made = npyfast.dataset(save(array), 4, True, seed=1, transform=transform)
    assert_same_dataset(made, array, rows)
    assert set(seen) == {np.dtype("V2")}  # as np.load gives it


def test_memory_maps(dataset: Dataset, save: Save, engine: str) -> None:
    mapped = np.load(save(X), mmap_mode="r")
    nest = (mapped[3:], np.load(save(Y), mmap_mode="r").reshape(-1, 1)[3:])
    ds = dataset(nest, 10, shuffle=True, seed=2)
    expected = (X[3:], Y[3:].reshape(-1, 1))
    assert_same_dataset(ds, expected, epoch_batches(100, batch_size=10, seed=2))


class Squares:
    """An array-like of one's own."""

    shape, dtype = (103,), np.dtype("i8")

    def __getitem__(self, rows: Any) -> Any:
        return Y[rows] ** 2


@pytest.mark.usefixtures("backend")
def test_objects_of_other_packages(files: Path, save: Save) -> None:
    with h5py.File(files / "0.h5", "r") as opened:
        nest = (Squares(), save(Y, "y/y.npy"))
        made = npyfast.dataset(nest, 10, True, seed=4)
        assert engine_of(made) == "generator"
        for _ in range(2):
            assert all((x.numpy() == y.numpy() ** 2).all() for x, y in made)
        expected = epoch_batches(103, batch_size=10, seed=4)
        made = npyfast.dataset(nest, 10, True, seed=4)
        assert_same_dataset(made, (Y**2, Y), expected)
        chunked = opened["g/chunked"]
        made = npyfast.dataset(chunked, 3, True, seed=4)
        assert_same_dataset(made, chunked[:], epoch_batches(10, batch_size=3, seed=4))
    with pytest.raises(ValueError, match="engine='graph' is not available"):
        npyfast.dataset(nest, 10, engine="graph")


def test_tensors(dataset: Dataset, save: Save) -> None:
    made = dataset((save(X), tf.constant(Y)), 10, True, seed=4)
    assert_same_dataset(made, (X, Y), epoch_batches(103, batch_size=10, seed=4))
