"""`npyfast.split`: divides a source into parts, such as training and validation data."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, overload

import numpy as np

from npyfast._errors import shown
from npyfast._nest import Nest
from npyfast._options import integer
from npyfast._order.selection import RowSelection, SplitOrder
from npyfast._sources.open import open_nest

# How far shares may be from adding up to 1: a float32 has seven digits.
_ROUNDING = Fraction(1, 10**6)


@overload
def split(
    source: Nest, fraction: float = 0.9, *, seed: int = 0
) -> tuple[RowSelection, RowSelection]: ...
@overload
def split(
    source: Nest, fraction: Sequence[float], *, seed: int = 0
) -> tuple[RowSelection, ...]: ...
def split(
    source: Nest, fraction: float | Sequence[float] = 0.9, *, seed: int = 0
) -> tuple[RowSelection, ...]:
    """Divides the rows of a source at random into two parts, for training and validation, or more.

    Every row is in exactly one part. Which one is a pure function of (rows of the source, fraction,
    seed): the same in every run, in every process, on every machine. The parts take no memory and
    no time to make, whatever the number of rows: they are consecutive positions of an order of all
    rows, which is computed when needed (docs/order.md has the algorithm; the epoch of
    this order, 2**64 - 1, is never reached in training). Splitting and shuffling may use the same
    seed.

    Args:
        source: as for `npyfast.dataset`: a leaf, or a nest of leaves with the same number of rows.
            Only their headers are read. The parts fit any source with the same number of rows, and
            no other: with one more row, all rows are divided anew.
        fraction: the share of the first part, in [0, 1]. Of n rows it gets n * fraction, rounded to
            the nearest integer, half to even. This is computed exactly, from the true value of a
            float (0.9 is slightly more than 9/10). Or the shares of any number of parts, which add
            up to 1, as (0.8, 0.1, 0.1): part i ends where the shares up to it, added up, do. So
            (0.8, 0.2) divides as 0.8 does.
        seed: an int in [0, 2**64). The first part of a smaller fraction is contained in that of a
            larger one with the same seed.

    Returns:
        A tuple of two `RowSelection`, or of one for each share: values of the option `rows` of
        `npyfast.dataset` and `npyfast.batches`. With `shuffle=True` the rows of a part come in a
        different order in each epoch; without shuffling, always in the order of the split.

    Raises:
        ValueError: fraction is not a number in [0, 1], nor several that add up to 1; seed is not
            an int in [0, 2**64); leaves differ in their number of rows.
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
        >>> [len(part) for part in npyfast.split(source, (0.8, 0.1, 0.1), seed=0)]
        [80, 10, 10]
    """
    ends = _ends(fraction)
    order = SplitOrder(len(open_nest(source, map_now=False)[1][0]), integer("seed", seed, 0, 2**64))
    cuts = [0, *(round(order.rows * end) for end in ends), order.rows]
    return tuple(RowSelection(order, range(*pair)) for pair in itertools.pairwise(cuts))


def _ends(fraction: Any) -> list[Fraction]:
    """Where all parts but the last end: shares of all rows."""
    if isinstance(fraction, np.ndarray) and fraction.ndim == 1:
        fraction = fraction.tolist()
    if not isinstance(fraction, (tuple, list)):
        return [_share(fraction, "")]
    shares = [_share(each, f" (of {shown(fraction)})") for each in fraction]
    total = sum(shares, Fraction(0))
    # 0.8 + 0.1 + 0.1 is not exactly 1.
    if abs(total - 1) > _ROUNDING:
        raise ValueError(
            f"fraction must be a number in [0, 1], got {shown(fraction)}; several must add up to "
            f"1, and these add up to {float(total):.6g}"
        )
    return [min(Fraction(1), end) for end in itertools.accumulate(shares[:-1])]


def _share(fraction: Any, of: str) -> Fraction:
    """A share, exactly, or a ValueError that says what is allowed."""
    exact = None
    if not isinstance(fraction, (bool, np.bool_)):
        try:
            whole = isinstance(fraction, numbers.Integral)  # NumPy integers lack as_integer_ratio()
            exact = Fraction(int(fraction) if whole else Fraction(*fraction.as_integer_ratio()))
            if 0 <= exact <= 1:
                return exact
        except (AttributeError, TypeError, ValueError, OverflowError):
            pass  # text, infinity, NaN
    hint = ""
    if exact is not None and 1 < exact <= 100:
        hint = (
            f"; {float(exact):g} % is {float(exact / 100):g}, and "
            "rows=npyfast.split(...)[0][:n] takes n rows"
        )
    raise ValueError(f"fraction must be a number in [0, 1], got {shown(fraction)}{of}{hint}")
