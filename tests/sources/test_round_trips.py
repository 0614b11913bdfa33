"""Whatever `numpy.lib.format` writes is read as `np.load` reads it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import BACKENDS, use_backend
from expected import assert_same_batches, epoch_batches, in_native_order, same_bits
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy_format
from samples import dtypes, in_order, random_array
from strategies import file_dtypes

import npyfast

VERSIONS = [(1, 0), (2, 0), (3, 0)]


def write(path: Path, array: Any, version: tuple[int, int]) -> tuple[int, int]:
    """Writes a file, of another version where this one can't have it; returns the version."""
    with warnings.catch_warnings(), open(path, "wb") as file:
        warnings.simplefilter("ignore")  # that old versions of NumPy can't read it
        try:
            npy_format.write_array(file, array, version, allow_pickle=False)
        except UnicodeEncodeError:  # names of fields that are not Latin-1
            assert version != (3, 0)
            file.seek(0)
            npy_format.write_array(file, array, (3, 0), allow_pickle=False)
            return (3, 0)
    return version


def assert_read(path: Path, version: tuple[int, int], array: Any, batch_size: int) -> None:
    """A file is this array, by the backend of this process."""
    header = npyfast.read_header(path)
    assert header.version == version
    assert (header.shape, header.dtype) == (array.shape, array.dtype)
    if array.ndim == 0:
        with pytest.raises(ValueError, match="0-dimensional array, which has no rows"):
            npyfast.open(path)
        return
    rows = npyfast.open(path)
    assert rows.shape == array.shape
    assert rows.dtype == array.dtype.newbyteorder("=")
    assert same_bits(rows[:], in_native_order(array, array.dtype))
    assert_same_batches(
        npyfast.batches(path, batch_size, True, seed=1),
        array,
        epoch_batches(len(array), batch_size=batch_size, seed=1),
    )


@pytest.mark.parametrize("dimensions", range(6))
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_every_kind_of_file(
    tmp_path: Path, backend: str, version: tuple[int, int], dimensions: int
) -> None:
    path = tmp_path / "a.npy"
    for dtype in dtypes():
        if dtype.itemsize == 0:  # NumPy can't load it
            continue
        array = random_array(dtype, (3, 2, 1, 4, 2)[:dimensions])
        for order in "CF" if dimensions > 1 else "C":
            # ascontiguousarray makes an axis for what has none.
            written = write(path, in_order(array, order) if dimensions else array, version)
            loaded = np.load(path)
            assert loaded.flags.f_contiguous or order == "C"
            assert same_bits(loaded, array)
            assert_read(path, written, loaded, 2)


@st.composite
def shapes(draw: Any) -> tuple[int, ...]:
    dimensions = draw(st.sampled_from([1, 2, 3, 4, 5, 0]))
    sides = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 0])
    return tuple(draw(sides) for _ in range(dimensions))


@given(
    dtype=file_dtypes(),
    shape=shapes(),
    order=st.sampled_from("CF"),
    version=st.sampled_from(VERSIONS),
    seed=st.integers(0, 9),
    batch_size=st.integers(1, 5),
)
def test_any_file(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    order: str,
    version: tuple[int, int],
    seed: int,
    batch_size: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.npy")
        array = random_array(dtype, shape, seed)
        written = write(path, in_order(array, order) if shape else array, version)
        loaded = np.load(path)
        assert same_bits(loaded, array)
        for name in BACKENDS:
            with use_backend(name):
                assert_read(path, written, loaded, batch_size)
