"""Which rows an array has: windows over its first axes, and a slice of the rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from npyfast._backends.fields import AnyArray
from npyfast._errors import printable, shown
from npyfast._options import integer

# As npyfast._core takes a view.
ViewNumbers: TypeAlias = tuple[Sequence[int], Sequence[int], int, int, int]

_MOST = 2**63


@dataclass(frozen=True)
class RowView:
    """By default, each index on axis 0 is a row. With a window, each of its places over the first
    axes, in C order of the places. Of all these rows, concatenated over the files, then a slice."""

    window: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()  # from one place to the next, along each axis of the window
    start: int = 0
    stop: int = _MOST - 1
    step: int = 1

    @staticmethod
    def make(window: object, stride: object, rows: object) -> RowView:
        """Checks the options of `npyfast.source`."""
        if window is None and stride is not None:
            raise ValueError("stride is the step between windows: give window as well")
        sizes: tuple[int, ...] = ()
        steps: tuple[int, ...] = ()
        if window is not None:
            sizes = _lengths("window", window)
            steps = _lengths("stride", 1 if stride is None else stride)
            if not isinstance(stride, (tuple, list)):
                steps *= len(sizes)
            if len(steps) != len(sizes):
                raise ValueError(
                    f"stride must be an int, or as many as window has, {len(sizes)}; got "
                    f"{shown(stride)}"
                )
        return RowView(sizes, steps, **({} if rows is None else _slice(rows)))

    @property
    def is_slice(self) -> bool:
        """Whether it leaves some of the rows, or may."""
        return (self.start, self.stop, self.step) != (0, _MOST - 1, 1)

    @property
    def numbers(self) -> ViewNumbers:
        """As npyfast._core takes it."""
        return self.window, self.stride, self.start, self.stop, self.step

    def check_fits(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises ValueError unless an array of this shape has a place for the window."""
        axes = len(self.window)
        if axes > len(shape) or any(w > n for w, n in zip(self.window, shape, strict=False)):
            raise ValueError(
                f"{printable(name)}: window {self.window} does not fit into the array of shape "
                f"{shape}"
            )
        if math.prod(self.places(shape)) >= _MOST:
            raise ValueError(f"{printable(name)}: has more windows than can be counted")

    def row_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a row."""
        return self.window + shape[len(self.window) or 1 :]

    def places(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The number of places of the window along each of its axes; without one, of rows."""
        if not self.window:
            return shape[:1]
        return tuple(
            (size - window) // stride + 1
            for size, window, stride in zip(shape, self.window, self.stride, strict=False)
        )

    def by_place(self, array: AnyArray) -> AnyArray:
        """All rows of an array, as a view of shape (*places, *row_shape)."""
        axes = len(self.window)
        if not axes:
            return array
        windows = sliding_window_view(array, self.window, axis=tuple(range(axes)))
        windows = windows[tuple(slice(None, None, stride) for stride in self.stride)]
        return np.moveaxis(windows, range(array.ndim, array.ndim + axes), range(axes, 2 * axes))

    def sliced(self, counts: Sequence[int]) -> list[range]:
        """Of arrays with so many rows, one after the other, those that the slice leaves: for each
        array, their numbers within it."""
        first_rows = list(itertools.accumulate(counts, initial=0))
        rows = range(first_rows[-1])[slice(self.start, self.stop, self.step)]
        found = []
        for first, count in zip(first_rows, counts, strict=False):
            before = max(0, -(-(first - rows.start) // rows.step))
            end = max(before, -(-(first + count - rows.start) // rows.step))
            mine = rows[before:end]
            found.append(range(mine.start - first, mine.stop - first, mine.step))
        return found

    def options(self) -> dict[str, object]:
        """The options of `npyfast.source` that make it, without those that change nothing."""
        made: dict[str, object] = {}
        if self.window:
            made["window"] = self.window
        if any(stride != 1 for stride in self.stride):
            made["stride"] = self.stride
        if self.is_slice:
            ends = (self.start or None, None if self.stop == _MOST - 1 else self.stop)
            made["rows"] = slice(*ends, None if self.step == 1 else self.step)
        return made

    def text(self) -> str:
        """What it does to rows beyond their shape, for descriptions of a place."""
        made = ""
        if self.window:
            made += f", windows {list(self.window)}, stride {list(self.stride)}"
        if self.is_slice:
            made += f", rows {self.start}:{self.stop}:{self.step}"
        return made


PLAIN = RowView()


def _lengths(name: str, value: object) -> tuple[int, ...]:
    """An option that is an int or a tuple of ints, of at least 1."""
    parts = value if isinstance(value, (tuple, list)) else (value,)
    try:
        if not parts:
            raise ValueError
        return tuple(integer(name, part, 1, _MOST) for part in parts)
    except ValueError:
        raise ValueError(
            f"{name} must be an int of at least 1, or a tuple of them, one for each of the first "
            f"axes, got {shown(value)}"
        ) from None


def _slice(rows: object) -> dict[str, int]:
    """The option `rows` of a source."""
    wrong = ValueError(
        "rows of a source must be a slice, such as slice(29, None), with a step of at least 1; "
        f"lists, masks and splits are for rows of npyfast.dataset; got {shown(rows)}"
    )
    if not isinstance(rows, slice):
        raise wrong
    given = {"start": rows.start, "stop": rows.stop, "step": rows.step}
    try:
        numbers = {
            name: integer(name, value, 1 if name == "step" else -(2**200))
            for name, value in given.items()
            if value is not None
        }
    except ValueError:
        raise wrong from None
    return {name: max(-_MOST, min(number, _MOST - 1)) for name, number in numbers.items()}
