"""How values are shown in messages: never with the data of an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from backends import TENSORFLOW

import npyfast
from npyfast._errors import shown

CASES: list[tuple[Any, str]] = [
    ("y.npy", "'y.npy'"),
    (Path("y.npy"), repr(Path("y.npy"))),
    (None, "None"),
    (1.5, "1.5"),
    (slice(3), "slice(None, 3, None)"),
    (np.zeros(3), "ndarray of shape (3,) and dtype float64"),
    (np.zeros((2, 0), ">i4"), "ndarray of shape (2, 0) and dtype int32"),
    (np.array(7), "ndarray of shape () and dtype int64"),
    (np.zeros(2, [("a", "f4")]), "ndarray of shape (2,) and dtype void32"),
    (np.dtype("f4"), "dtype('float32')"),
    (np.float32, "<class 'numpy.float32'>"),
    ([np.zeros(3), "x"], "[ndarray of shape (3,) and dtype float64, 'x']"),
    ({"x": np.zeros(3)}, "{'x': ndarray of shape (3,) and dtype float64}"),
    ((1,), "(1,)"),
    ((), "()"),
    ([], "[]"),
    ({}, "{}"),
    (list(range(4)), "[0, 1, 2, ...]"),
    ([0, 1, 2], "[0, 1, 2]"),
    (tuple(range(9)), "(0, 1, 2, ...)"),
    ("x" * 999, "'" + "x" * 199),
]


@pytest.mark.parametrize(("value", "text"), CASES, ids=[text[:40] for _, text in CASES])
def test_shown(value: Any, text: str) -> None:
    assert shown(value) == text


def test_arrays_of_other_packages(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(4)
        dataset = file["x"]
        assert shown(dataset) == "Dataset of shape (4,) and dtype int64"
    assert "losed" in shown(dataset)
    np.save(tmp_path / "x.npy", np.arange(4))
    with npyfast.open(tmp_path / "x.npy") as rows:
        assert shown(rows) == "Rows of shape (4,) and dtype int64"


class Frame:
    """As a DataFrame has it: a shape, and no dtype."""

    shape = (3, 2)

    def __repr__(self) -> str:
        return "0 1 2 3"


def test_a_table() -> None:
    assert shown(Frame()) == "Frame of shape (3, 2)"


@pytest.mark.skipif(not TENSORFLOW, reason="NPYFAST_TEST_TENSORFLOW leaves it out")
def test_tensors() -> None:
    import tensorflow as tf

    assert shown(tf.range(4)) == "EagerTensor of shape (4,) and dtype int32"
    spec = tf.TensorSpec((None, 3), tf.float32)
    assert shown(spec) == "TensorSpec of shape (None, 3) and dtype float32"
