"""What the rows of a source with window, stride and rows must be: slow and obvious."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from samples import Array


def rows_of(
    arrays: Sequence[Array],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    rows: slice | None = None,
) -> Array:
    """All windows of the files' arrays, one after the other, then a slice of them."""
    found = [
        array[tuple(slice(at, at + size) for at, size in zip(place, window, strict=True))]
        for array in arrays
        for place in itertools.product(
            *(
                range(0, length - size + 1, step)
                for length, size, step in zip(array.shape, window, stride, strict=False)
            )
        )
    ]
    shape = (*window, *arrays[0].shape[len(window) :])
    made: Array = np.ndarray((len(found), *shape), arrays[0].dtype)
    for i, each in enumerate(found):
        made[i] = each
    return made if rows is None else made[rows]


def full(value: Any, axes: int) -> tuple[int, ...]:
    """An option of one number for each axis, as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
