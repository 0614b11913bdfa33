"""`row_shape`: rows in another shape, as `array.reshape(len(array), *row_shape)` gives them."""

from __future__ import annotations

import re
from typing import Any

import expected
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from samples import Save, in_order, random_array

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

SHAPES = [
    ((4, 6), (24,)),
    ((4, 6), (6, 4)),
    ((4, 6), (2, 2, 3, 2)),
    ((4, 6), (4, 6)),
    ((24,), (2, 3, 4)),
    ((4, 6), (4, 6, 1)),
    ((), (1,)),
    ((), (1, 1)),
    ((1,), ()),
    ((0, 3), (5, 0)),
]


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_shapes(save: Save, order: str, old: tuple[int, ...], new: tuple[int, ...]) -> None:
    array = in_order(random_array(np.dtype(">i4"), (9, *old)), order)
    wanted = array.reshape(9, *new)
    for what in (save(array), array):
        leaf = npyfast.source(what, row_shape=new)
        rows = npyfast.open(leaf)
        assert rows.shape == wanted.shape
        assert_same(rows[[7, 0, -1]], expected.in_native_order(wanted[[7, 0, -1]], array.dtype))
        rows_of_batches = expected.epoch_batches(9, batch_size=4, seed=1)
        assert_same_batches(npyfast.batches(leaf, 4, True, seed=1), wanted, rows_of_batches)


@pytest.mark.parametrize(
    ("given", "new"),
    [(-1, (24,)), (24, (24,)), ((-1,), (24,)), ((2, -1), (2, 12)), ([-1, 6, 1], (4, 6, 1))],
)
def test_one_size_is_worked_out(save: Save, given: Any, new: tuple[int, ...]) -> None:
    path = save(np.arange(48).reshape(2, 4, 6))
    assert npyfast.open(npyfast.source(path, row_shape=given)).shape == (2, *new)


def test_rows_of_nothing(save: Save) -> None:
    path = save(np.zeros((3, 0, 2)))
    assert npyfast.open(npyfast.source(path, row_shape=-1)).shape == (3, 0)
    assert npyfast.open(npyfast.source(path, row_shape=(4, -1))).shape == (3, 4, 0)
    for shape in ((0, -1), (-1, 0)):
        with pytest.raises(ValueError), np.errstate(all="ignore"):
            np.zeros((0, 2)).reshape(shape)
        with pytest.raises(ValueError, match=re.escape("cannot be reshaped to row_shape=")):
            npyfast.open(npyfast.source(path, row_shape=shape))


def test_structures_keep_their_fields(save: Save) -> None:
    records = random_array(np.dtype([("a", ">i2"), ("b", "f4", (2,))]), (9, 6))
    leaf = npyfast.source(save(records), row_shape=(3, 2))
    assert npyfast.open(leaf).shape == (9, 3, 2)
    wanted = records.reshape(9, 3, 2)
    rows = expected.epoch_batches(9, batch_size=4, seed=1)
    assert_same_batches(npyfast.batches(leaf, 4, True, seed=1), wanted, rows)


def test_files(save: Save) -> None:
    array = np.arange(72).reshape(12, 6)
    paths = [save(array[:5]), save(np.asfortranarray(array[5:]))]
    leaf = npyfast.source(paths, row_shape=(2, 3))
    rows = expected.epoch_batches(12, batch_size=5, seed=1, rows=slice(1, None, 2))
    made = npyfast.batches(leaf, 5, True, seed=1, rows=slice(1, None, 2))
    assert_same_batches(made, array.reshape(12, 2, 3), rows)


def test_into_an_array(save: Save) -> None:
    array = np.arange(72).reshape(12, 6)
    out = np.empty((2, 3, 2), array.dtype)
    npyfast.open(npyfast.source(save(array), row_shape=(3, 2))).gather([4, 1], out=out)
    assert_same(out, array.reshape(12, 3, 2)[[4, 1]])


@pytest.mark.parametrize("shape", [(5,), 23, (4, 7), (-1, 5), (), (24, 0), (-1, 0)])
def test_a_shape_of_another_size(save: Save, shape: Any) -> None:
    path = save(np.zeros((3, 4, 6)))
    made = shape if isinstance(shape, tuple) else (shape,)
    with pytest.raises(ValueError) as caught:
        npyfast.batches(npyfast.source(path, row_shape=shape))
    assert str(caught.value) == (
        f"{path}: rows of shape (4, 6), 24 items, cannot be reshaped to row_shape={made}"
    )


@pytest.mark.parametrize(
    "shape", [(-1, -1), -2, (2, -3), 1.5, "24", (2.0, 12), True, (None,), {24}]
)
def test_no_shape(save: Save, shape: Any) -> None:
    with pytest.raises(ValueError) as caught:
        npyfast.source(save(np.zeros((3, 24))), row_shape=shape)
    wanted = f"row_shape must be an int or a tuple of ints, -1 at most once, got {shape!r}"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("shape", [(-1, 28, 28, 1), (5, 28, 28, 1), (-1, 784), (5, 784)])
def test_a_shape_that_counts_the_rows_in(save: Save, shape: Any) -> None:
    path = save(np.zeros((5, 28, 28)))
    with pytest.raises(ValueError) as caught:
        npyfast.batches(npyfast.source(path, row_shape=shape))
    assert str(caught.value) == (
        f"{path}: row_shape={shape} counts the rows in, and is the shape of one row: "
        f"use row_shape={shape[1:]}"
    )
    assert npyfast.open(npyfast.source(path, row_shape=shape[1:])).shape == (5, *shape[1:])


@pytest.mark.parametrize(
    ("shape", "made"), [((-1,), (1,)), (-1, (1,)), ((1, 1, -1), (1, 1, 1)), ((1, -1), (1, 1))]
)
def test_ones_that_are_meant(save: Save, shape: Any, made: Any) -> None:
    path = save(np.zeros(5))
    assert npyfast.open(npyfast.source(path, row_shape=shape)).shape == (5, *made)
