"""What batches must be, computed from whole arrays in memory and the definitions in the docs.

Slow and obvious: it shares nothing with npyfast but the full order of an epoch and the seeds
derived from one, which golden vectors hold.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from npyfast import RowSelection
from npyfast._order.full import chain, order

Array = npt.NDArray[Any]


# Options of which each leaves some of 103 rows, or gives them more than once.
OPTIONS: list[dict[str, Any]] = [
    {"rows": slice(90, None, -7)},
    {"rows": np.arange(103) % 3 == 0},
    {"shard": (1, 3)},
    {"drop_remainder": True, "epochs": 3, "start_epoch": 1, "start_batch": 4},
]

# Options that start and end iterations in every way, for batches of 10 of 103 rows.
RUNS: list[dict[str, Any]] = [
    {"epochs": None},
    {"epochs": None, "start_epoch": 5},
    {"epochs": 3},
    {"epochs": 3, "start_epoch": 2, "start_batch": 4},
    {"epochs": -1},
    {"epochs": -1, "start_epoch": 7, "start_batch": 10},
]


def cast(array: Array, to: npt.DTypeLike, scale: Any = None, shift: Any = None) -> Array:
    """What npyfast.source(array, cast=to, scale=scale, shift=shift) must give."""
    with np.errstate(all="ignore"):
        out = array.astype(to)
        if scale is not None:
            out = out * np.asarray(scale).astype(to)
        if shift is not None:
            out = out + np.asarray(shift).astype(to)
    assert out.dtype == to
    return out


def permuted(rows: Array, seed: int, epoch: int) -> Array:
    return rows[order(len(rows), seed, epoch, np.arange(len(rows), dtype=np.uint64))]


def in_blocks(rows: Array, seed: int, epoch: int, blocks: tuple[int, int]) -> list[Array]:
    """The windows of rows in the block order of docs/order.md."""
    count = len(rows)
    block_rows, window_rows = blocks
    rotation = chain(seed, epoch, count, 1, 0) * count // 2**64
    rotated = np.roll(rows, -rotation)
    full = count // block_rows
    cut = rotated[: full * block_rows].reshape(full, block_rows)
    slots = permuted(cut, chain(seed, epoch, count, 2, 0), 0)
    windows = max(1, math.ceil(full / max(1, window_rows // block_rows)))
    made = []
    for w in range(windows):
        window = slots[w * full // windows : (w + 1) * full // windows].reshape(-1)
        if w == windows - 1:
            window = np.concatenate([window, rotated[full * block_rows :]])
        made.append(permuted(window, chain(seed, epoch, count, 3, w), 0))
    return made


def epoch_rows(
    count: int,
    *,
    rows: Any = None,
    seed: int | None = None,
    blocks: tuple[int, int] | None = None,
    epoch: int = 0,
) -> Array:
    """The row numbers of one epoch, in order. `seed=None`: not shuffled; `blocks`: the rows of a
    block and of a window."""
    selected = np.arange(count)
    if isinstance(rows, RowSelection):
        selected = permuted(selected, rows.order.seed, 2**64 - 1)[np.array(rows.positions, int)]
    elif rows is not None:
        selected = selected[rows]
    if seed is None:
        return selected
    if blocks is not None:
        return np.concatenate(in_blocks(selected, seed, epoch, blocks))
    return permuted(selected, seed, epoch)


def epoch_batches(
    count: int,
    *,
    batch_size: int,
    rows: Any = None,
    seed: int | None = None,
    blocks: tuple[int, int] | None = None,
    epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
    drop_remainder: bool = False,
) -> list[Array]:
    """The row numbers of each batch of one epoch, for one worker."""
    ordered = epoch_rows(count, rows=rows, seed=seed, blocks=blocks, epoch=epoch)
    index, workers = shard
    global_size = workers * batch_size
    batches = []
    for start in range(0, len(ordered), global_size):
        part = ordered[start : start + global_size]
        if len(part) == global_size:
            batches.append(part[index * batch_size : (index + 1) * batch_size])
        elif not drop_remainder:
            r = len(part)
            batches.append(part[r * index // workers : r * (index + 1) // workers])
    return batches


def iteration(
    count: int,
    *,
    epochs: int | None = None,
    start_epoch: int = 0,
    start_batch: int = 0,
    k: int = 0,
    **options: Any,
) -> Iterator[Array]:
    """The row numbers of each batch of the k-th iteration; endless with `epochs=-1`."""
    if epochs is None:
        passes: Any = [start_epoch + k]
    elif epochs < 0:
        passes = itertools.count(start_epoch)
    else:
        passes = range(start_epoch, start_epoch + epochs)
    for epoch in passes:
        batches = epoch_batches(count, epoch=epoch, **options)
        if not batches:
            return
        yield from batches[start_batch if epoch == start_epoch else 0 :]


def element(source: Any, rows: Array) -> Any:
    """The element that holds these rows of a nest of whole arrays."""
    if isinstance(source, dict):
        return {key: element(value, rows) for key, value in source.items()}
    if isinstance(source, tuple):
        parts = [element(value, rows) for value in source]
        return type(source)(*parts) if hasattr(source, "_fields") else tuple(parts)
    # With the dtype, because indexing makes "S1" of "S0".
    return apart(source[rows], source.dtype)


def apart(array: Array, dtype: np.dtype[Any]) -> Any:
    """A structured array as the dict of its fields; native byte order."""
    if dtype.names is not None:
        return {name: apart(array[name], array[name].dtype) for name in dtype.names}
    return in_native_order(array, dtype)


def in_native_order(array: Array, dtype: np.dtype[Any]) -> Array:
    """The same items of this dtype in native byte order."""
    # Not by astype, which makes "S1" of "S0", and leaves ">m8" as it is.
    native: Array = np.ndarray(array.shape, dtype.newbyteorder("="))
    native[...] = array
    return native


def assert_same(actual: Any, expected: Any) -> None:
    """The same nest of the same arrays: type, shape, byte order and every bit."""
    if isinstance(expected, dict):
        assert type(actual) is type(expected)
        assert list(actual) == list(expected)
        for key in expected:
            assert_same(actual[key], expected[key])
    elif isinstance(expected, tuple):
        assert type(actual) is type(expected)
        assert len(actual) == len(expected)
        for a, b in zip(actual, expected, strict=True):
            assert_same(a, b)
    else:
        assert isinstance(actual, np.ndarray)
        assert actual.shape == expected.shape
        assert actual.dtype == expected.dtype
        assert actual.dtype.isnative
        assert same_bits(actual, expected)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays of one dtype hold the same items, NaNs of all kinds told apart."""
    if a.dtype.names is not None:
        return all(same_bits(a[name], b[name]) for name in a.dtype.names)
    if a.dtype.char in "gG":  # padded, with bytes that say nothing
        return np.array_equal(a, b, equal_nan=True)
    return a.tobytes() == b.tobytes()


def assert_same_batches(actual: Any, source: Any, rows_of_batches: Any) -> None:
    """An iteration gives exactly these rows of a nest of whole arrays, batch by batch."""
    batches = iter(actual)
    for rows in rows_of_batches:
        assert_same(next(batches), element(source, rows))
    for extra in batches:
        raise AssertionError(f"a batch too many: {extra!r}")
