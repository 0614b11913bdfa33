"""The order of a fully shuffled epoch, in NumPy: the specification of csrc/core/order/order.cc.

docs/order.md explains the algorithm.
"""

from __future__ import annotations

import math
import operator

import numpy as np
import numpy.typing as npt

# Changes with any change of the order: see docs/order.md.
ORDER_VERSION = 1

MAX_ROWS = 2**62

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def chain(*numbers: int) -> int:
    """A chained hash of the numbers."""
    state = 0
    for number in numbers:
        state = _mix(((state ^ number) + _GOLDEN) & _MASK)
    return state


def _keys(seed: int, epoch: int, rows: int, count: int) -> list[int]:
    state = chain(seed, epoch, rows)
    return [_mix((state + i * _GOLDEN) & _MASK) for i in range(1, count + 1)]


def _round(
    half: npt.NDArray[np.uint64], multiply: int, add: int, size: int
) -> npt.NDArray[np.uint64]:
    h = (half * np.uint64(multiply) + np.uint64(add)) >> np.uint64(32)
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(0x9E3779B1)) & np.uint64(0xFFFFFFFF)
    return (h * np.uint64(size)) >> np.uint64(32)


def checked(
    rows: int, seed: int, epoch: int, positions: npt.NDArray[np.uint64]
) -> tuple[int, int, int]:
    """Rows, seed and epoch as Python ints; raises the errors of `order`."""
    rows, seed, epoch = operator.index(rows), operator.index(seed), operator.index(epoch)
    for name, value in (("rows", rows), ("seed", seed), ("epoch", epoch)):
        if not 0 <= value <= _MASK:
            raise TypeError(f"{name} = {value}: must be in [0, 2**64)")
    if rows > MAX_ROWS:
        raise ValueError(f"rows = {rows}: the most is 2**62")
    if positions.dtype != np.uint64:
        raise TypeError(f"positions are {positions.dtype}, not uint64")
    outside = positions >= np.uint64(rows)
    if outside.any():
        raise IndexError(f"position {positions[outside].flat[0]} is not below rows = {rows}")
    return rows, seed, epoch


def order(
    rows: int, seed: int, epoch: int, positions: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Return the rows at `positions` in the order of (rows, seed, epoch).

    For fixed rows, seed and epoch this is a bijection on [0, rows): each row has exactly one
    position. It takes memory only for the given positions, and computes each independently.

    Args:
        rows: number of rows, at most 2**62.
        seed: any number below 2**64.
        epoch: any number below 2**64.
        positions: uint64 array of any shape, each below `rows`.

    Returns:
        An int64 array of the same shape.

    Raises:
        ValueError: more than 2**62 rows.
        IndexError: a position is not below `rows`.
        TypeError: positions are not uint64, or rows, seed or epoch is outside uint64.

    Example:
        >>> order(5, seed=0, epoch=0, positions=np.arange(5, dtype=np.uint64)).tolist()
        [0, 2, 1, 4, 3]
    """
    rows, seed, epoch = checked(rows, seed, epoch, positions)
    if rows < 2:
        return np.zeros(positions.shape, dtype=np.int64)

    # Numbers below height * width are the cells of a grid, as square as possible, that holds all
    # rows.
    height = math.isqrt(rows - 1) + 1
    width = -(-rows // height)
    # Two rounds weaken a pattern by a factor of about the width, so small grids need more of them.
    bits = max(1, width.bit_length() - 1)
    rounds = min(max(2 * -(-24 // bits), 6), 32)
    rotation_key, swap_key, *keys = _keys(seed, epoch, rows, 2 + 2 * rounds)

    rotation = np.uint64((rotation_key * rows) >> 64)
    swap = np.uint64(swap_key >> 63)
    x = np.atleast_1d(np.where(positions < 2, positions ^ swap, positions))
    x = (x + rotation) % np.uint64(rows)

    # A cell after the last row is permuted again until it is a row.
    walking = np.ones(x.shape, dtype=bool)
    while walking.any():
        left, right = np.divmod(x[walking], np.uint64(width))
        for i in range(0, 2 * rounds, 4):
            left = (left + _round(right, keys[i], keys[i + 1], height)) % np.uint64(height)
            right = (right + _round(left, keys[i + 2], keys[i + 3], width)) % np.uint64(width)
        x[walking] = left * np.uint64(width) + right
        walking = x >= np.uint64(rows)
    return x.reshape(positions.shape).astype(np.int64)
