"""Selected rows: the option `rows`, and the parts that `npyfast.split` makes."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from npyfast._errors import shown
from npyfast._order import full as _order
from npyfast._order.full import order

RowNumbers = npt.NDArray[np.int64]

# An epoch that no training reaches; kSplitEpoch in csrc/core/order/plan.h.
SPLIT_EPOCH = 2**64 - 1

# Rows computed at once, because computing them takes several times the memory of the result.
_ROWS_AT_ONCE = 1 << 16


class SplitOrder(NamedTuple):
    """An order of all rows of a source. Each part of a split is a range of its positions."""

    rows: int
    seed: int

    def at(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The rows at positions of the order."""
        return order(self.rows, self.seed, SPLIT_EPOCH, positions.astype(np.uint64))


@dataclass(frozen=True, repr=False)
class RowSelection:
    """A part of the rows of a source, in an order of its own; made by `npyfast.split`.

    A value of the option `rows` of `npyfast.dataset` and `npyfast.batches`, for sources with as
    many rows as the one it was made for. It holds only a few numbers, from which row numbers are
    computed when they are needed.

    `len()`, iteration and `selection[i]` give the row numbers. A slice is a RowSelection too: a
    third part, or the first thousand rows of a part. `np.asarray(selection)` is the int64 array of
    all row numbers, 8 bytes each. Two selections are equal if they have the same number of rows of
    the source, seed and positions. They can be pickled. Unpickling with another version of the
    order raises ValueError, because the rows would differ.

    Example:
        >>> import numpy as np, npyfast
        >>> train, rest = npyfast.split(np.zeros((10, 2)), 0.6)
        >>> validation, test = rest[:2], rest[2:]
        >>> np.asarray(train).tolist(), np.asarray(validation).tolist(), np.asarray(test).tolist()
        ([5, 8, 1, 2, 3, 7], [4, 9], [0, 6])
    """

    order: SplitOrder
    positions: range

    def __reduce__(self) -> tuple[Any, ...]:
        chosen = self.positions
        numbers = (*self.order, chosen.start, chosen.stop, chosen.step)
        return _unpickled, (_order.ORDER_VERSION, *numbers)

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, index: slice) -> RowSelection: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    def __getitem__(self, index: SupportsIndex | slice) -> RowSelection | int:
        """The row number at an index, negative ones from the end; or the selection of a slice."""
        if isinstance(index, slice):
            return RowSelection(self.order, without_large_step(self.positions[index]))
        index = operator.index(index)
        try:
            position = self.positions[index]
        except IndexError:
            raise IndexError(f"index {index} is out of range for {len(self):,} rows") from None
        return int(self.order.at(np.array([position]))[0])

    def __iter__(self) -> Iterator[int]:
        for rows in self._chunks():
            yield from rows.tolist()

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(
                "the row numbers of a RowSelection are computed, so copy=False is not possible"
            )
        array = np.empty(len(self), np.int64)
        first = 0
        for rows in self._chunks():
            array[first : first + len(rows)] = rows
            first += len(rows)
        return array if dtype is None else array.astype(dtype, copy=False)

    def _chunks(self) -> Iterator[RowNumbers]:
        """The row numbers, `_ROWS_AT_ONCE` at a time."""
        for first in range(0, len(self), _ROWS_AT_ONCE):
            chosen = self.positions[first : first + _ROWS_AT_ONCE]
            yield self.order.at(chosen.start + chosen.step * np.arange(len(chosen)))

    def __repr__(self) -> str:
        return (
            f"<npyfast.RowSelection: {len(self):,} of {self.order.rows:,} rows, split with seed "
            f"{self.order.seed}>"
        )


RowChoice = RowSelection | slice | range | Sequence[int] | npt.NDArray[np.generic] | None


def _unpickled(version: int, rows: int, seed: int, *positions: int) -> RowSelection:
    """The selection, or a ValueError if it was pickled with another version of the order."""
    if version != _order.ORDER_VERSION:
        raise ValueError(
            f"the RowSelection was pickled with order version {version}, and this npyfast has "
            f"{_order.ORDER_VERSION}: its rows would differ; split again, or install the version "
            "of npyfast that pickled it"
        )
    return RowSelection(SplitOrder(rows, seed), range(*positions))


@dataclass(frozen=True)
class Selection:
    """The selected rows: `size` rows `start`, `start + step`, ..., or a list of row numbers. With
    an `order`, `start` and so on are positions in it instead of rows."""

    start: int
    step: int
    size: int
    list: RowNumbers | None = None
    order: SplitOrder | None = None

    def rows(self, positions: RowNumbers) -> RowNumbers:
        """The rows at these positions of the selection."""
        if self.list is not None:
            return self.list[positions]
        rows = self.start + positions * self.step
        return rows if self.order is None else self.order.at(rows)


def without_large_step(numbers: range) -> range:
    """The same numbers. The step of at most one may be any int, and the start of none, too."""
    if len(numbers) > 1:
        return numbers
    start = numbers.start if numbers else 0
    return range(start, start + len(numbers))


_ROWS = (
    "rows must be None, a slice, an integer array of row numbers, a boolean mask or a part that "
    "npyfast.split makes"
)


def make_selection(rows: RowChoice, count: int) -> Selection:
    """The rows that the option `rows` selects from an array of `count` rows."""
    if rows is None:
        return Selection(0, 1, count)
    if isinstance(rows, RowSelection):
        if rows.order.rows != count:
            raise ValueError(
                f"rows={rows!r} belongs to a source of {rows.order.rows:,} rows, and this one has "
                f"{count:,}: split it again"
            )
        chosen = without_large_step(rows.positions)
        return Selection(chosen.start, chosen.step, len(chosen), order=rows.order)
    if isinstance(rows, (slice, range)):
        try:
            picked = range(count)[rows] if isinstance(rows, slice) else rows
        except (TypeError, ValueError) as error:
            raise ValueError(f"{_ROWS}, got {shown(rows)}: {error}") from None
        if picked and (min(picked[0], picked[-1]) < 0 or max(picked[0], picked[-1]) >= count):
            raise IndexError(f"rows={rows!r} is out of range for {count:,} rows")
        picked = without_large_step(picked)
        return Selection(picked.start, picked.step, len(picked))
    if isinstance(rows, (tuple, list)) and any(map(_is_selection, rows)):
        raise ValueError(
            f"{_ROWS}, got several parts, {shown(rows)}: pass one of them, such as rows=train of "
            "(train, test)"
        )
    listed = np.asarray(rows)
    if listed.size == 0 and listed.ndim == 1 and listed.dtype != np.bool_:
        return Selection(0, 1, 0)
    if listed.ndim != 1 or listed.dtype.kind not in "iub":
        got = shown(rows)
        if isinstance(rows, (list, tuple, str)):
            got = f"{type(rows).__name__} of shape {listed.shape} and dtype {listed.dtype}"
        hint = ", as npyfast.split(source, 0.8)" if isinstance(rows, float) else ""
        raise ValueError(f"{_ROWS}{hint}, got {got}")
    if listed.dtype == np.bool_:
        if len(listed) != count:
            raise ValueError(f"the mask rows has {len(listed):,} entries for {count:,} rows")
        return Selection(0, 1, int(np.count_nonzero(listed)), np.flatnonzero(listed))
    return Selection(0, 1, len(listed), resolve_rows(listed, count))


def _is_selection(part: object) -> bool:
    """Whether a part of `rows` selects rows by itself."""
    many = isinstance(part, (RowSelection, slice, range, tuple, list))
    return many or getattr(part, "ndim", 0) > 0


def resolve_rows(rows: npt.NDArray[np.integer[Any]], count: int) -> RowNumbers:
    """Row numbers in which negative ones, which count from the end, are resolved; always a copy.

    Raises IndexError naming the first that is out of range.
    """
    # Check before the cast, in which a uint64 beyond int64 would become negative.
    outside = (rows >= count) | (rows < -count) if rows.dtype.kind == "i" else rows >= count
    if outside.any():
        first = rows[np.argmax(outside)]
        raise IndexError(f"row {first} is out of range for {count} rows")
    resolved = rows.astype(np.int64)
    resolved[resolved < 0] += count
    return resolved
