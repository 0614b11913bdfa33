"""`npyfast.moments`: mean and standard deviation of rows, in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from npyfast._backends.fields import AnyArray
from npyfast._batches.batches import batches
from npyfast._errors import shown
from npyfast._options import integer
from npyfast._order.selection import RowChoice
from npyfast._rows import open_rows
from npyfast._sources.paths import Path
from npyfast._sources.source import Source, as_source

Numbers = npt.NDArray[np.float64]

# Items to read at once: 8 MiB in float64. With fewer, large rows would be added one by one.
_CHUNK_ITEMS = 1 << 20


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard deviation of the rows of one array; made by `npyfast.moments`.

    All arrays are float64 and broadcast over a row: their shape is that of a row, with 1 for the
    axes that were averaged over, and without leading ones.

    Attributes:
        mean: the mean.
        std: the standard deviation, of the population, as `np.std` gives it.
        count: how many items each of the means is of.
    """

    mean: Numbers
    std: Numbers
    count: int

    @property
    def scale(self) -> Numbers:
        """For `npyfast.source`: 1 / std, and 1 where all items are equal."""
        return 1 / np.where(self.std == 0, 1, self.std)

    @property
    def shift(self) -> Numbers:
        """For `npyfast.source`: -mean * scale. With both, rows have mean 0 and deviation 1."""
        return -self.mean * self.scale


def moments(
    source: Source | Path | Sequence[Path] | AnyArray,
    *,
    rows: RowChoice = None,
    axis: int | Sequence[int] | None = None,
) -> Moments:
    """Mean and standard deviation of an array, ready to normalize it with, in one pass over it.

    Reads the rows in their order, as `npyfast.batches` does, some MiB at a time whatever their
    number (and at least one row). Computes in float64, batch by batch around the mean of the batch,
    so that nothing is lost where the mean is much larger than the deviation. The result does not
    depend on threads or the backend. Where an item is not finite, neither is the result.

    Args:
        source: one array, as `npyfast.open` takes it. Options such as `cast` and `row_shape` apply
            first.
        rows: which rows take part, as for `npyfast.dataset`: those of the training, so that nothing
            of the validation data leaks into the normalization.
        axis: the axes of the whole array to average over, as for `np.mean`, axis 0 (the rows) among
            them: (0, 1, 2) gives each channel of (rows, height, width, channels) its own numbers,
            0 each item of a row. None: all axes, for one number.

    Returns:
        `Moments`: mean, std and count, and scale and shift for `npyfast.source`.

    Raises:
        ValueError: no rows; an axis that does not exist, or axes without 0; and as
            `npyfast.batches`.
        TypeError: not one array, or one that does not hold real numbers.
        NpyFormatError, OSError: as `npyfast.batches` raises them.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.arange(24, dtype=np.uint8).reshape(4, 3, 2))
        >>> found = npyfast.moments("X.npy", rows=slice(3), axis=(0, 1))
        >>> found.mean, found.count
        (array([8., 9.]), 9)
        >>> leaf = npyfast.source("X.npy", cast="float32", scale=found.scale, shift=found.shift)
        >>> bool(abs(npyfast.open(leaf)[:3].mean()) < 1e-6)
        True
    """
    if isinstance(source, (tuple, dict)):
        raise TypeError(
            f"npyfast.moments is of one array, and a {type(source).__name__} stands for several: "
            "call it for each"
        )
    leaf = as_source(source)
    total = _Sum()
    with open_rows(leaf) as opened:  # as long as it is read, so that it is inflated once
        shape, dtype = opened.shape, opened.dtype
        made = _number_type(dtype)
        axes = _axes(axis, len(shape))
        of_row = math.prod(shape[axis] for axis in axes if axis)
        size = max(1, _CHUNK_ITEMS // max(1, math.prod(shape[1:])))
        for batch in batches(leaf, min(size, 2**31 - 1), rows=rows):
            total.add(_in_float64(batch.view(made), axes), axes, len(batch) * of_row)
    if not total.count:
        raise ValueError(f"{leaf.name}: there are no items to take the mean of")
    std = np.sqrt(total.squares / total.count)
    return Moments(_broadcasting(total.mean), _broadcasting(std), total.count)


class _Sum:
    """The moments of all batches so far, by the method of Chan, Golub and LeVeque."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Numbers = np.zeros(())
        self.squares: Numbers = np.zeros(())  # of the differences from the mean

    def add(self, items: Numbers, axes: tuple[int, ...], count: int) -> None:
        """Adds a batch, which is overwritten; `count` is the number of items of each mean."""
        if not count:
            return
        with np.errstate(all="ignore"):
            mean = items.mean(axis=axes, keepdims=True)
            np.subtract(items, mean, out=items)
            squares = np.square(items, out=items).sum(axis=axes, keepdims=True)
            self.count += count
            apart = mean - self.mean
            self.mean = self.mean + apart * (count / self.count)
            # Of the items before: none at first.
            before = self.count - count
            self.squares = self.squares + squares + apart**2 * (before * (count / self.count))


def _in_float64(batch: AnyArray, axes: tuple[int, ...]) -> Numbers:
    """A copy in float64, in which items of one mean are adjacent if they lie all over the rows:
    NumPy adds up those many times as fast."""
    if len(axes) == 1:
        return batch.astype(np.float64, order="C")
    kept = [axis for axis in range(batch.ndim) if axis not in axes]
    order = [*kept, *axes]
    adjacent = batch.transpose(order).astype(np.float64, order="C")
    return adjacent.transpose(np.argsort(order))


def _number_type(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The dtype as which items are numbers."""
    if dtype.kind in "biuf":
        return dtype
    if dtype == "V2" or dtype.name == "bfloat16":
        from npyfast._backends.cast import bfloat16

        return bfloat16()
    raise TypeError(
        f"npyfast.moments needs real numbers, not {dtype}"
        + (": save the fields as arrays of their own" if dtype.names else "")
    )


def _axes(axis: object, ndim: int) -> tuple[int, ...]:
    """The option `axis`, as sorted numbers from 0 on."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = {integer("axis", each, -ndim, ndim) % ndim for each in given}
    if 0 not in axes:
        raise ValueError(
            f"axis must include 0, the rows, got {shown(axis)}: axis=0 averages over the rows "
            "alone, and None over all axes"
        )
    return tuple(sorted(axes))


def _broadcasting(values: Numbers) -> Numbers:
    """The values of one row, without leading axes of length 1."""
    shape = values.shape[1:]
    while shape[:1] == (1,):
        shape = shape[1:]
    return values.reshape(shape)
