"""`npyfast.moments` against NumPy in float64, and what it is for."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from backends import BACKENDS, use_backend
from samples import Save

import npyfast
from npyfast._batches import moments as module

pytestmark = pytest.mark.usefixtures("backend")

X = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3), dtype="u1")


@pytest.fixture(params=[100, 1000, module._CHUNK_ITEMS])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few rows, of a batch and a part of one, and of all."""
    monkeypatch.setattr(module, "_CHUNK_ITEMS", request.param)


def check(found: npyfast.Moments, array: Any, axis: Any = None) -> None:
    """Compares with NumPy's two passes."""
    items = np.asarray(array, np.float64)
    axes = tuple(range(items.ndim)) if axis is None else axis
    mean, std = items.mean(axes, keepdims=True)[0], items.std(axes, keepdims=True)[0]
    for value, wanted in ((found.mean, mean), (found.std, std)):
        assert value.dtype == np.float64
        assert np.broadcast_shapes(value.shape, items.shape[1:]) == items.shape[1:]
        np.testing.assert_allclose(
            np.broadcast_to(value, items.shape[1:]),
            np.broadcast_to(wanted, items.shape[1:]),
            rtol=1e-12,
            atol=1e-12 * max(1.0, abs(items).max()) * (value is found.mean),
        )
    assert found.count * mean.size == items.size


AXES = [
    None,
    *((0, *rest) for n in range(4) for rest in itertools.combinations((1, 2, 3), n)),
]


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_all_axes(save: Save, axis: Any) -> None:
    check(npyfast.moments(save(X), axis=axis), X, axis)


def test_shapes() -> None:
    for axis, shape in (
        (None, ()),
        ((0, 1, 2), (3,)),
        (0, (6, 5, 3)),
        ((0, -1), (6, 5, 1)),
        ([0, 2], (6, 1, 3)),
        (-4, (6, 5, 3)),
        ((0, 0), (6, 5, 3)),
    ):
        found = npyfast.moments(X, axis=axis)
        assert found.mean.shape == found.std.shape == found.scale.shape == shape
        assert found.shift.shape == shape


@pytest.mark.parametrize("dtype", ["?", "i1", ">i2", "u4", "i8", "f2", ">f4", "f8", "g"])
def test_dtypes(save: Save, dtype: str) -> None:
    array = np.random.default_rng(1).integers(0, 100, (33, 4)).astype(dtype)
    check(npyfast.moments(save(array), axis=0), array, 0)
    check(npyfast.moments(np.asfortranarray(array), axis=0), array, 0)


def test_bfloat16(save: Save) -> None:
    array = np.random.default_rng(1).random((33, 4)).astype(ml_dtypes.bfloat16)
    check(npyfast.moments(save(array), axis=0), array.astype("f8"), 0)
    check(npyfast.moments(npyfast.source(save(array), cast="bfloat16")), array.astype("f8"))


@pytest.mark.usefixtures("chunk")
def test_a_mean_much_larger_than_the_deviation(save: Save) -> None:
    """Sums of squares would lose all digits here."""
    array = 1e9 + np.random.default_rng(1).random((1000, 3))
    found = npyfast.moments(save(array), axis=0)
    np.testing.assert_allclose(found.std, array.std(0), rtol=1e-6)
    np.testing.assert_allclose(found.mean, array.mean(0), rtol=1e-13)


def test_means_of_parts_that_differ(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_ITEMS", 100)
    array = np.sort(np.random.default_rng(1).random(10_000)) * 1e6
    check(npyfast.moments(save(array)), array)


@pytest.mark.parametrize(
    "rows", [slice(3, 40, 2), np.array([4, 1, 1]), np.arange(50) % 3 == 0, range(5)], ids=str
)
def test_rows(save: Save, rows: Any) -> None:
    check(npyfast.moments(save(X), rows=rows, axis=0), X[rows], 0)


def test_the_training_rows_of_a_split(save: Save) -> None:
    path = save(X)
    train, _ = npyfast.split(path, 0.8)
    check(npyfast.moments(path, rows=train), X[np.asarray(train)])


def test_sources_of_all_kinds(save: Save, tmp_path: Path) -> None:
    paths = [save(X[:7]), save(X[7:])]
    check(npyfast.moments(paths, axis=(0, 1, 2)), X, (0, 1, 2))
    np.savez(tmp_path / "a.npz", x=X)
    check(npyfast.moments(tmp_path / "a.npz", axis=0), X, 0)
    flat = npyfast.source(X, row_shape=-1, cast="float32", scale=1 / 255)
    check(npyfast.moments(flat, axis=0), npyfast.open(flat)[:], 0)
    for number in range(3):
        save(X[number], f"rows/{number}.npy")
    check(npyfast.moments(npyfast.source(tmp_path / "rows", per_file="row")), X[:3])


def test_windows(save: Save) -> None:
    series = np.random.default_rng(1).random(100)
    windows = np.lib.stride_tricks.sliding_window_view(series, 9)[::4][2:]
    leaf = npyfast.source(save(series), window=9, stride=4, rows=slice(2, None))
    check(npyfast.moments(leaf, axis=0), windows, 0)


def test_a_compressed_archive_is_inflated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=X)
    inflate, calls = npyfast._sources.npz.Archive.inflate, []

    def counted(*arguments: Any) -> None:
        calls.append(arguments[1])
        inflate(*arguments)

    monkeypatch.setattr(npyfast._sources.npz.Archive, "inflate", counted)
    with pytest.warns(RuntimeWarning, match="inflated"):
        check(npyfast.moments(tmp_path / "a.npz"), X)
    assert calls == ["x"]


def test_ready_as_scale_and_shift(save: Save) -> None:
    array = (X * [0, 1, 2] + 7).astype("u1")  # one channel is constant
    path = save(array)
    for axis in (None, (0, 1, 2), 0, (0, 3)):
        found = npyfast.moments(path, axis=axis)
        leaf = npyfast.source(path, cast="float32", scale=found.scale, shift=found.shift)
        normalized = npyfast.moments(leaf, axis=axis)
        np.testing.assert_allclose(normalized.mean, 0, atol=1e-5)
        np.testing.assert_allclose(normalized.std, found.std != 0, atol=1e-5)


def test_both_backends_give_the_same_bits(save: Save) -> None:
    path = save(np.random.default_rng(1).random((5000, 7)))
    found = []
    for name in BACKENDS:
        with use_backend(name):
            result = npyfast.moments(path, axis=0)
            found.append((result.mean.tobytes(), result.std.tobytes()))
    assert len(set(found)) == 1


def test_what_is_not_finite(save: Save) -> None:
    array = np.array([[1.0, np.nan], [3.0, 4.0]])
    found = npyfast.moments(save(array), axis=0)
    assert found.mean[0] == 2
    assert np.isnan(found.mean[1])
    assert np.isnan(found.std[1])


def test_rows_of_nothing(save: Save) -> None:
    for array in (X[:0], X[:, :0]):
        with pytest.raises(ValueError, match="there are no items to take the mean of"):
            npyfast.moments(save(array))
    with pytest.raises(ValueError, match="no items"):
        npyfast.moments(X, rows=slice(0))
    assert npyfast.moments(X[:, :0], axis=0).mean.shape == (0, 5, 3)


@pytest.mark.parametrize("axis", [1, (1, 2), (), -1])
def test_axes_without_the_rows(axis: Any) -> None:
    with pytest.raises(ValueError, match="axis must include 0, the rows"):
        npyfast.moments(X, axis=axis)


@pytest.mark.parametrize("axis", [4, -5, "0", 0.0, True, (0, None), np.zeros(2)])
def test_axes_that_do_not_exist(axis: Any) -> None:
    with pytest.raises(ValueError, match=r"axis must be an int in \[-4, 4\)"):
        npyfast.moments(X, axis=axis)


@pytest.mark.parametrize("dtype", ["c8", "S3", "M8[s]", "V3", [("a", "f4")]], ids=str)
def test_what_is_no_number(save: Save, dtype: Any) -> None:
    with pytest.raises(TypeError, match="needs real numbers"):
        npyfast.moments(save(np.zeros(3, dtype)))


def test_one_array_only(save: Save) -> None:
    path = save(X)
    for nest in ((path, path), {"x": path}):
        with pytest.raises(TypeError, match="is of one array, .*call it for each"):
            npyfast.moments(nest)
    with pytest.raises(FileNotFoundError):
        npyfast.moments("none.npy")
