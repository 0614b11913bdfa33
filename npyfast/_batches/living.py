"""Objects of a kind, for as long as they live."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Living(Generic[_T]):
    """A set that keeps nothing alive. Unlike in a WeakSet, each change is a single step, so that no
    other thread sees it half done."""

    def __init__(self) -> None:
        self._references: set[weakref.ref[_T]] = set()

    def add(self, one: _T) -> None:
        self._references.add(weakref.ref(one, self._references.discard))

    def clear(self) -> None:
        self._references = set()

    def __iter__(self) -> Iterator[_T]:
        for reference in self._references.copy():
            one = reference()
            if one is not None:
                yield one
