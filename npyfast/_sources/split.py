"""`npyfast.split`: divides a source into training and validation data."""

from __future__ import annotations

import numbers
from fractions import Fraction
from typing import Any

import numpy as np

from npyfast._nest import Nest
from npyfast._options import integer
from npyfast._order.selection import RowSelection, SplitOrder
from npyfast._sources.open import open_nest


def split(
    source: Nest, fraction: float = 0.9, *, seed: int = 0
) -> tuple[RowSelection, RowSelection]:
    """Divides the rows of a source at random into two parts, for training and validation.

    Every row is in exactly one part. Which one is a pure function of (rows of the source, fraction,
    seed): the same in every run, in every process, on every machine. The parts take no memory and
    no time to make, whatever the number of rows: they are the first and the last positions of an
    order of all rows, which is computed when needed (docs/order.md has the algorithm; the epoch of
    this order, 2**64 - 1, is never reached in training). Splitting and shuffling may use the same
    seed.

    Args:
        source: as for `npyfast.dataset`: a leaf, or a nest of leaves with the same number of rows.
            Only their headers are read. The parts fit any source with the same number of rows, and
            no other: with one more row, all rows are divided anew.
        fraction: the share of the first part, in [0, 1]. Of n rows it gets n * fraction, rounded to
            the nearest integer, half to even. This is computed exactly, from the true value of a
            float (0.9 is slightly more than 9/10).
        seed: an int in [0, 2**64). The first part of a smaller fraction is contained in that of a
            larger one with the same seed.

    Returns:
        Two `RowSelection`: values of the option `rows` of `npyfast.dataset` and `npyfast.batches`.
        Slice one of them to make three parts. With `shuffle=True` the rows of a part come in a
        different order in each epoch; without shuffling, always in the order of the split.

    Raises:
        ValueError: fraction is not a number in [0, 1]; seed is not an int in [0, 2**64); leaves
            differ in their number of rows.
        NpyFormatError, TypeError, OSError: as `npyfast.batches` raises them.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.zeros((100, 28, 28), np.uint8)); np.save("y.npy", np.arange(100))
        >>> source = ("X.npy", "y.npy")
        >>> train, validation = npyfast.split(source, 0.8)
        >>> train
        <npyfast.RowSelection: 80 of 100 rows, split with seed 0>
        >>> len(npyfast.batches(source, 32, shuffle=True, rows=train))
        3
        >>> [y.size for x, y in npyfast.batches(source, 32, rows=validation)]
        [20]
    """
    share = _share(fraction)
    order = SplitOrder(len(open_nest(source, map_now=False)[1][0]), integer("seed", seed, 0, 2**64))
    cut = round(order.rows * share)
    return (
        RowSelection(order, range(cut)),
        RowSelection(order, range(cut, order.rows)),
    )


def _share(fraction: Any) -> Fraction:
    """The option `fraction`, exactly, or a ValueError that says what is allowed."""
    if not isinstance(fraction, (bool, np.bool_)):
        try:
            whole = isinstance(fraction, numbers.Integral)  # NumPy integers lack as_integer_ratio()
            exact = Fraction(int(fraction) if whole else Fraction(*fraction.as_integer_ratio()))
            if 0 <= exact <= 1:
                return exact
        except (AttributeError, TypeError, ValueError, OverflowError):
            pass  # text, infinity, NaN
    raise ValueError(f"fraction must be a number in [0, 1], got {fraction!r}")
