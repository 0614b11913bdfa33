"""An element on its way from the stream, through the transform, to the reader."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """What became of an element, and what counts for it in the statistics."""

    element: Any = None
    error: BaseException | None = None  # raised in its place
    items: int = 1  # 0 with an error: interrupted; 0 without one: the end of the stream
    batches: int = 0  # 0 if the stream itself failed
    rows: int = 0
    bytes: int = 0
    transform_ns: int = 0


END = Outcome(items=0)


class Pending:
    """An element that has been requested, or will be next."""

    __slots__ = ("begun", "done", "outcome", "requested", "taken")

    def __init__(self, taken: list[Any]) -> None:
        self.taken = taken  # the element, once it was taken from the stream
        self.requested = self.begun = False
        self.outcome: Outcome | None = None
        self.done = threading.Lock()  # held until there is an outcome
        self.done.acquire()
