"""Checks of option values. Each returns the value, or raises ValueError naming what is allowed."""

from __future__ import annotations

import operator
from typing import Literal, SupportsIndex, get_args

import numpy as np

from npyfast._errors import shown

# The modes of csrc/core/readahead/readahead.h.
Readahead = Literal["auto", "off", "whole", "rows"]
READAHEAD: tuple[Readahead, ...] = get_args(Readahead)


def integer(name: str, value: SupportsIndex, low: int, high: int | None = None) -> int:
    """An option's value as an int in [low, high)."""
    allowed = f"an int of at least {low}" if high is None else f"an int in [{low}, {high})"
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}") from None
    if isinstance(value, (bool, np.bool_)) or number < low or (high is not None and number >= high):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    return number


def make_batch_size(size: SupportsIndex) -> int:
    """The option `batch_size`."""
    given: object = size
    try:
        return integer("batch_size", size, 1, 2**31)
    except ValueError as error:
        hint = ""
        if given is None:
            hint = (
                "; rows come in batches, which is what makes them fast: for single rows call "
                ".unbatch() on a dataset of any batch_size, or iterate over npyfast.open(...)"
            )
        elif not isinstance(given, (int, float, np.generic)) and not str(given).isdigit():
            hint = "; several arrays are one tuple: ((x, y), batch_size=32)"
        raise ValueError(f"{error}{hint}") from None


def boolean(name: str, value: object) -> bool:
    """An option's value as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def make_shape(name: str, shape: object) -> tuple[int, ...]:
    """A shape option, an int or a tuple of ints, as a tuple. At most one entry may be -1."""
    parts = shape if isinstance(shape, (tuple, list)) else (shape,)
    try:
        if any(isinstance(n, (bool, np.bool_)) for n in parts):
            raise TypeError
        made = tuple(operator.index(n) for n in parts)
    except TypeError:
        made = (-2,)
    if min(made, default=0) < -1 or made.count(-1) > 1 or max(made, default=0) >= 2**63:
        raise ValueError(
            f"{name} must be an int or a tuple of ints, -1 at most once, got {shown(shape)}"
        )
    return made


def make_threads(threads: int | None) -> int | None:
    """The option `threads`; None: the number of CPUs that this process may use."""
    return None if threads is None else integer("threads", threads, 1, 2**15)


def make_readahead(readahead: object) -> Readahead:
    """The option `readahead`."""
    for known in READAHEAD:
        if isinstance(readahead, str) and readahead == known:
            return known
    allowed = ", ".join(map(repr, READAHEAD))
    raise ValueError(f"readahead must be one of {allowed}, got {shown(readahead)}")
