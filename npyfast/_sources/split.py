"""`npyfast.split`: training and validation data of one source."""

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

    Every row is in exactly one of them, and which one is a pure function of (rows of the source,
    fraction, seed): the same in every run, in every process, on every machine. It takes no memory
    and no time, however many rows there are: the parts are the first and the last positions of an
    order of all rows, computed where it is needed (docs/order.md has the algorithm; the
    epoch of this order, 2**64 - 1, is none that training comes to). The same seed for splitting and
    for shuffling does no harm.

    Args:
        source: as for `npyfast.dataset`: a leaf, or a nest of leaves with the same number of rows.
            Only their headers are read. The parts fit any source with as many rows, and no other:
            with one row more all rows are divided anew.
        fraction: the share of the first part, in [0, 1]: of n rows it has n * fraction, rounded
            to the nearest integer, and a half to the even one. This is computed exactly, from the
            number that a float really is (0.9 is a little more than 9/10).
        seed: names the division, an int in [0, 2**64). Parts of a smaller fraction with the same
            seed are contained in those of a larger one.

    Returns:
        Two `RowSelection`: values of the option `rows` of `npyfast.dataset` and `npyfast.batches`.
        A slice of one is another: so three parts are made. With `shuffle=True` the rows of a part
        come in another order each epoch, as ever; without shuffling in that of the split, the same
        each time.

    Raises:
        ValueError: fraction is no number in [0, 1]; seed is no int in [0, 2**64); leaves differ in
            their number of rows.
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
    order = SplitOrder(len(open_nest(source)[1][0]), integer("seed", seed, 0, 2**64))
    cut = round(order.rows * share)
    return (
        RowSelection(order, range(cut)),
        RowSelection(order, range(cut, order.rows)),
    )


def _share(fraction: Any) -> Fraction:
    """The option `fraction`, exactly, or a ValueError that says what is allowed."""
    if not isinstance(fraction, (bool, np.bool_)):
        try:
            whole = isinstance(fraction, numbers.Integral)  # NumPy's have no as_integer_ratio()
            exact = Fraction(int(fraction) if whole else Fraction(*fraction.as_integer_ratio()))
            if 0 <= exact <= 1:
                return exact
        except (AttributeError, TypeError, ValueError, OverflowError):
            pass  # neither are text, infinity and NaN in [0, 1]
    raise ValueError(f"fraction must be a number in [0, 1], got {fraction!r}")
