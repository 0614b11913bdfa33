"""A set of objects that does not keep them alive."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Living(Generic[_T]):
    """A set of weak references. Unlike a WeakSet, it changes in single steps, so that no other
    thread sees a half-finished change."""

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
