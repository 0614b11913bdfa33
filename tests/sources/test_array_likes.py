"""Objects of other packages that have rows: Zarr, HDF5, classes of one's own, and arrays of other
kinds."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from deadlines import wait_until
from expected import OPTIONS, assert_same, assert_same_batches, epoch_batches, iteration
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(103 * 6, dtype="f4").reshape(103, 2, 3)
Y = np.arange(103)


class Recorded:
    """An array-like that remembers what it was asked for."""

    def __init__(self, array: Any, chunks: Any = None, lists: bool = True) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        if chunks is not None:
            self.chunks = chunks
        self._array = array
        self._lists = lists
        self.asked: list[Any] = []
        self.threads: set[int] = set()

    def __getitem__(self, rows: Any) -> Any:
        self.threads.add(threading.get_ident())
        if not isinstance(rows, slice) and not self._lists:
            raise TypeError("only slices")
        self.asked.append(rows)
        return self._array[rows]


def batches_of(source: Any, **options: Any) -> Any:
    return npyfast.batches(source, 10, True, seed=3, **options)


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("chunks", [None, (7, 2, 3), (1000,), [4, 1, 1], "auto", (0,), (None,)])
def test_a_class_of_ones_own(chunks: Any, lists: bool) -> None:
    made = Recorded(X, chunks, lists)
    assert isinstance(made, npyfast.ArrayLike)
    assert_same(npyfast.open(made)[:], X)
    assert_same(npyfast.open(made)[[7, -1, 7, 0]], X[[7, -1, 7, 0]])
    rows = epoch_batches(103, batch_size=10, seed=3)
    assert_same_batches(batches_of((made, Y)), (X, Y), rows)
    assert_same_batches(npyfast.batches(made, 10), X, epoch_batches(103, batch_size=10))


@pytest.mark.parametrize("options", [*OPTIONS, {"transform": None, "epochs": 2}])
def test_options(options: dict[str, Any], save: Save) -> None:
    nest = {
        "like": Recorded(X),
        "cast": npyfast.source(Recorded(Y), cast="f4", scale=0.5, row_shape=(1,)),
        "file": save(X),
    }
    whole = {"like": X, "cast": (Y * np.float32(0.5)).astype("f4").reshape(-1, 1), "file": X}
    shown = {name: value for name, value in options.items() if name != "transform"}
    assert_same_batches(
        batches_of(nest, **options), whole, iteration(103, batch_size=10, seed=3, **shown)
    )


@pytest.mark.parametrize(
    "view",
    [
        {"rows": slice(29, None)},
        {"rows": slice(-50, 90, 3)},
        {"window": 5, "stride": 2},
        {"window": 4},
    ],
)
@pytest.mark.parametrize("shuffle", [False, True, "block"])
def test_windows_and_slices(view: dict[str, Any], shuffle: Any) -> None:
    like, memory = (npyfast.source(x, **view) for x in (Recorded(X, (10,)), X))
    assert_same(npyfast.open(like)[:], npyfast.open(memory)[:])
    assert len(npyfast.open(like)) > 10
    options = {"shuffle": shuffle, "seed": None if shuffle is False else 1}
    for a, b in zip(
        npyfast.batches(like, 10, **options),
        npyfast.batches(memory, 10, **options),
        strict=True,
    ):
        assert_same(a, b)


def test_windows_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"Recorded of shape .*window \(104,\) does not fit"):
        npyfast.batches(npyfast.source(Recorded(X), window=104))
    with pytest.raises(ValueError, match="windows over 2 axes need data that can be mapped"):
        npyfast.batches(npyfast.source(Recorded(X), window=(2, 2)))


def test_one_sorted_request_for_each_batch() -> None:
    made = Recorded(X)
    assert len(list(batches_of(made))) == 11
    assert len(made.asked) == 11
    for rows in made.asked:
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
    made.asked.clear()
    list(npyfast.batches(made, 10))
    assert made.asked[:2] == [slice(0, 10), slice(10, 20)]


def test_a_thread_asks_ahead_of_the_reader() -> None:
    made = Recorded(X)
    iterator = iter(batches_of(made))
    next(iterator)
    wait_until(lambda: len(made.asked) > 1)
    state = iterator.get_state()
    rest = list(iterator)
    again = iter(batches_of(made))
    again.set_state(state)
    for a, b in zip(again, rest, strict=True):
        assert_same(a, b)


def test_each_chunk_is_read_once_a_window() -> None:
    made = Recorded(Y, chunks=(4,))
    shuffle = npyfast.BlockShuffle(block_rows=8, window_rows=40)
    read = npyfast.batches(made, 5, shuffle, seed=1)
    assert_same_batches(read, Y, epoch_batches(103, batch_size=5, seed=1, blocks=(8, 40)))
    asked = np.concatenate([np.arange(103)[rows] for rows in made.asked])
    # 26 chunks, of which a block may share the first and the last with another window.
    assert len(asked) <= 103 + 4 * 2 * 13


def test_blocks_are_whole_chunks() -> None:
    rows = Recorded(np.zeros((100_000, 1024), np.uint8), chunks=(1000, 1024))
    assert "in blocks of 4,000 and windows of 262,144 rows" in repr(
        npyfast.batches(rows, 10, "block", seed=1)
    )
    rows = Recorded(np.zeros((100_000, 1024), np.uint8), chunks=(100, 1024))
    assert "in blocks of 400 and" in repr(npyfast.batches(rows, 10, "block", seed=1))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Zarr 3 has no package for Python 3.10")
@pytest.mark.parametrize("shards", [None, (20, 2, 3)])
def test_zarr(tmp_path: Path, shards: Any) -> None:
    import zarr

    made = zarr.create_array(
        tmp_path / "X.zarr", shape=X.shape, dtype=X.dtype, chunks=(10, 2, 3), shards=shards
    )
    made[:] = X
    opened = zarr.open_array(tmp_path / "X.zarr", mode="r")
    assert_same_batches(batches_of((opened, Y)), (X, Y), epoch_batches(103, batch_size=10, seed=3))
    assert_same(npyfast.open(opened)[[5, 99, 5]], X[[5, 99, 5]])
    read = npyfast.batches(opened, 10, "block", seed=3)
    assert sorted(x[0, 0] for batch in read for x in batch) == sorted(X[:, 0, 0])


@pytest.mark.parametrize("layout", [{}, {"chunks": (10, 1, 3), "compression": "gzip"}])
def test_a_dataset_that_h5py_has_opened(tmp_path: Path, layout: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "X.h5", "w") as file:
        made = file.create_dataset("X", data=X, **layout)
        rows = epoch_batches(103, batch_size=10, seed=3)
        assert_same_batches(batches_of((made, Y)), (X, Y), rows)
        assert_same(npyfast.open(made)[[5, 99, 5]], X[[5, 99, 5]])
        iterator = iter(batches_of(made))
        next(iterator)
    with pytest.raises(OSError, match=r"Dataset of shape .* cannot be read"):
        list(iterator)


def test_arrays_of_other_kinds() -> None:
    class Series:
        """As of pandas, which finds items by their labels."""

        shape, dtype = Y.shape, Y.dtype

        def __getitem__(self, rows: Any) -> Any:
            raise KeyError(rows)

        def to_numpy(self) -> Any:
            return Y

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return Y

    class OnlyAnArray:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return Y

    for made in (Series(), OnlyAnArray()):
        assert_same(npyfast.open(made)[:], Y)  # type: ignore[arg-type]
        assert_same(next(iter(npyfast.batches((made, X), 4)))[0], Y[:4])
        assert npyfast.source(made).memory is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [">f4", "S3", "M8[s]", [("a", ">i2"), ("b", "f8")]])
def test_dtypes(dtype: Any) -> None:
    array = np.zeros((9, 2), dtype)
    assert_same_batches(npyfast.batches(Recorded(array), 4), array, epoch_batches(9, batch_size=4))
    bfloat = np.arange(9).astype(ml_dtypes.bfloat16)
    assert (npyfast.open(Recorded(bfloat))[:] == bfloat).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shape": ()}, ValueError, "is 0-dimensional, so it has no rows"),
        ({"shape": (-1, 2)}, TypeError, "Recorded: shape must be a tuple of ints"),
        ({"shape": 5}, TypeError, "shape must be a tuple of ints, got 5"),
        ({"shape": (2.5,)}, TypeError, "shape must be a tuple of ints"),
        ({"dtype": "no dtype"}, TypeError, "dtype is none of NumPy's"),
        ({"dtype": np.dtype(object)}, TypeError, "holds Python objects"),
    ],
)
def test_what_is_no_array(change: dict[str, Any], error: type[Exception], message: str) -> None:
    made = Recorded(X)
    for name, value in change.items():
        setattr(made, name, value)
    with pytest.raises(error, match=message):
        npyfast.batches(made)


def test_objects_that_lie() -> None:
    class Lying(Recorded):
        wrong: Any = None

        def __getitem__(self, rows: Any) -> Any:
            return self.wrong(super().__getitem__(rows))

    made = Lying(X)
    name = r"Lying of shape \(103, 2, 3\) and dtype float32: "
    for wrong, message in (
        (lambda x: x[:, :1], name + r"row 0 was read as an array of shape \(1, 3\)"),
        (lambda x: x.astype("f8"), name + r"row 0 was read as .* dtype float64"),
        (lambda x: x[:-1], name + r"1 rows from row 0 on were read as an array of shape \(0, 2"),
        (lambda x: None, name + r"1 rows from row 0 on were read as an array of shape \(\)"),
    ):
        made.wrong = wrong
        with pytest.raises(ValueError, match=message):
            next(iter(npyfast.batches(made, 10)))


@pytest.mark.parametrize("error", [ValueError, StopIteration, KeyError, OSError])
def test_a_row_that_cannot_be_read(error: type[Exception]) -> None:
    class Broken(Recorded):
        def __getitem__(self, rows: Any) -> Any:
            if 77 in np.arange(103)[rows]:
                raise error("bad sector")
            return super().__getitem__(rows)

    for shuffle in (False, True):
        message = r"Broken of shape \(103,\) and dtype int64: row 77 cannot be read: .*bad sector"
        with pytest.raises(OSError, match=message):
            list(npyfast.batches(Broken(Y), 10, shuffle, seed=0))


def test_an_object_that_grows() -> None:
    made = Recorded(X)
    batches = npyfast.batches(made, 10)
    made.shape = (200, 2, 3)
    with pytest.raises(OSError, match="was changed to Recorded of shape"):
        list(batches)


def test_options_for_files() -> None:
    with pytest.raises(ValueError, match="key is for files, not for Recorded of shape"):
        npyfast.source(Recorded(X), key="x")


def test_packing(tmp_path: Path) -> None:
    npyfast.pack(Recorded(X, (10, 2, 3)), tmp_path / "X.npy")
    assert_same(np.load(tmp_path / "X.npy"), X)
    npyfast.pack(Recorded(X), tmp_path / "S.npy", shuffle=True, seed=1)
    assert sorted(np.load(tmp_path / "S.npy")[:, 0, 0]) == sorted(X[:, 0, 0])
