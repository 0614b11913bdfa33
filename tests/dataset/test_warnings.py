"""Warnings name the line that led to them, whatever TensorFlow calls in between."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from samples import Dataset, Save

import npyfast


@pytest.fixture(autouse=True)
def here(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        save(np.full(3, number), f"samples/{number}.npy")


def test_the_line_of_the_caller(dataset: Dataset) -> None:
    listed = sorted(str(path) for path in Path("samples").iterdir())
    with pytest.warns(UserWarning, match="sorted as text") as caught:
        ds = dataset(listed)
    assert [warning.filename for warning in caught] == [__file__]
    assert ds.unbatch().as_numpy_iterator().next() == 0


def test_the_line_of_the_caller_for_a_nest(dataset: Dataset) -> None:
    leaf = npyfast.source("samples", per_file="row")
    with pytest.warns(UserWarning, match="natural order") as caught:
        dataset((leaf, np.arange(12)), engine="auto")
    assert [warning.filename for warning in caught] == [__file__]


def test_the_line_of_the_caller_for_hdf5(dataset: Dataset) -> None:
    with h5py.File("chunked.h5", "w") as file:
        file.create_dataset("x", data=np.arange(12), chunks=(5,))
    leaf = npyfast.source("chunked.h5", key="x")
    with pytest.warns(RuntimeWarning, match=r"or, if it fits in memory, .* file\[key\]") as caught:
        dataset(leaf, engine="auto")
    assert [warning.filename for warning in caught] == [__file__]
