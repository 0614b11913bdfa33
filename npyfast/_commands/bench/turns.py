"""Measures several ways in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from npyfast._commands.bench.contenders import Way
from npyfast._commands.bench.facts import Contender

_TURNS = 5
# The first part of a turn is not counted: others have used the caches, and batches may lie ready.
_UNCOUNTED = 0.25


def measure_ways(
    ways: Sequence[Way],
    batch_size: int,
    end: float,
    least: float,
    progress: Callable[[str], None],
) -> list[Contender]:
    """Rows a second of each, until time.monotonic() is `end`, but for `least` seconds in any case;
    `progress` is told what comes next."""
    found: list[Contender] = [
        {"name": way.name, "rows_per_second": None, "samples": [], "reason": way.reason}
        for way in ways
    ]
    running: list[tuple[Contender, Iterator[Any]]] = []
    try:
        for way, contender in zip(ways, found, strict=True):
            if way.begin is not None:
                progress(way.name)
                batches = way.begin()
                next(batches)  # whatever happens once
                running.append((contender, batches))
        each = max(least, end - time.monotonic()) / (_TURNS * max(1, len(running)))
        for number in range(_TURNS):
            # Another one begins each time.
            first = number % max(1, len(running))
            for contender, batches in (*running[first:], *running[:first]):
                progress(contender["name"])
                contender["samples"].append(_turn(batches, batch_size, each))
    finally:
        while running:
            close = getattr(running.pop()[1], "close", None)
            if close is not None:
                close()
    for contender in found:
        if contender["samples"]:
            contender["rows_per_second"] = median(contender["samples"])
    return found


def _turn(batches: Iterator[Any], batch_size: int, seconds: float) -> float:
    begin = time.perf_counter()
    while time.perf_counter() < begin + _UNCOUNTED * seconds:
        next(batches)
    begin, count = time.perf_counter(), 0
    now = begin
    while now < begin + (1 - _UNCOUNTED) * seconds or count == 0:
        next(batches)
        count += 1
        now = time.perf_counter()
    return count * batch_size / (now - begin)
