"""Which batches of an epoch have been asked for."""

from __future__ import annotations


class Requested:
    """A set of the numbers below a limit, small where they come in sequence."""

    def __init__(self, first: int, limit: int) -> None:
        self._below = first  # all numbers from the first up to this
        self._others: set[int] = set()
        self._first = first
        self._limit = limit

    def add(self, number: int) -> None:
        if number > self._below:
            self._others.add(number)
        elif number == self._below:
            self._below += 1
            while self._below in self._others:
                self._others.remove(self._below)
                self._below += 1

    def __bool__(self) -> bool:
        return self._below > self._first or bool(self._others)

    @property
    def complete(self) -> bool:
        return self._below >= self._limit
