"""Checks of option values: each returns the value it stands for, or says what is allowed."""

from __future__ import annotations

import operator
from typing import Any, Literal, get_args

import numpy as np

# What csrc/core/readahead/readahead.h calls its modes.
Readahead = Literal["auto", "off", "whole", "rows"]
READAHEAD: tuple[Readahead, ...] = get_args(Readahead)


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """An option's value as an int in [low, high), or a ValueError that says what is allowed."""
    allowed = f"an int of at least {low}" if high is None else f"an int in [{low}, {high})"
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be {allowed}, got {value!r}") from None
    if isinstance(value, (bool, np.bool_)) or number < low or (high is not None and number >= high):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return number


def boolean(name: str, value: Any) -> bool:
    """An option's value as a bool, or a ValueError that says what is allowed."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def make_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A shape option, an int or a tuple of ints, as a tuple. At most one entry is -1."""
    parts = shape if isinstance(shape, (tuple, list)) else (shape,)
    try:
        if any(isinstance(n, (bool, np.bool_)) for n in parts):
            raise TypeError
        made = tuple(operator.index(n) for n in parts)
    except TypeError:
        made = (-2,)
    if min(made, default=0) < -1 or made.count(-1) > 1 or max(made, default=0) >= 2**63:
        raise ValueError(
            f"{name} must be an int or a tuple of ints, -1 at most once, got {shape!r}"
        )
    return made


def make_threads(threads: Any) -> int | None:
    """The option `threads`; None: as many as there are CPUs that this process may use."""
    return None if threads is None else integer("threads", threads, 1, 2**15)


def make_readahead(readahead: Any) -> Readahead:
    """The option `readahead`."""
    for known in READAHEAD:
        if readahead == known:
            return known
    allowed = ", ".join(map(repr, READAHEAD))
    raise ValueError(f"readahead must be one of {allowed}, got {readahead!r}")
