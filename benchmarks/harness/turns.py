"""Contenders in turns: each runs alone for a short while, round after round."""

from __future__ import annotations

import dataclasses
import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.contender import Contender, Run, UnavailableError, describe
from harness.workloads import Case, read_into_page_cache

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a turn is.

    Batches after a pause are slow: threads wake up, memory is given back to the system and taken
    again, page tables are filled. For 37 MB a batch, a turn of 0.3 s from a cold start came out at
    3,300 microseconds where 2,250 are steady. So a turn first discards slices until none is faster
    than those before it, and then takes at least `batches`, however long they take.
    """

    rounds: int
    seconds: float  # of the timed part, at least
    batches: int = 200  # of the timed part, at least
    slice: float = 0.1  # seconds of what is discarded, again and again until it is steady
    longest: float = 3.0  # seconds of all that is discarded
    start: float = 2.0  # seconds, once, after a contender has been started


@dataclasses.dataclass
class Result:
    """What one contender did in one case: microseconds a batch, a sample a turn, or why none."""

    contender: str
    case: str
    samples: list[float] = dataclasses.field(default_factory=list)
    problem: str | None = None
    failed: bool = False

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None


def shuffled(items: Sequence[T], number: int) -> list[T]:
    """The order of a round."""
    return random.Random(number).sample(list(items), len(items))


def measure(
    case: Case,
    contenders: Sequence[Contender],
    schedule: Schedule,
    progress: Callable[[str], None],
) -> list[Result]:
    """Measures all contenders; those that fail or are not installed get a Result that says so.

    Calls `progress` before each start and turn, rounds + 1 times a contender.
    """
    results = {each.key: Result(each.key, case.name) for each in contenders}
    running: dict[str, Run] = {}
    try:
        for contender in contenders:
            progress(f"{case.name}: starting {contender.label}")
            run = _attempt(results[contender.key], _start, contender, case, schedule)
            if run is not None:
                running[contender.key] = run
        for number in range(schedule.rounds):
            for key in shuffled(list(results), number):
                progress(f"{case.name}: round {number + 1}, {key}")
                if key in running:
                    _attempt(results[key], _sample, running[key], schedule, results[key])
                    if results[key].failed:
                        running.pop(key).close()
    finally:
        for run in running.values():
            run.close()
        gc.collect()
    return list(results.values())


def _attempt(result: Result, function: Callable[..., T], *arguments: object) -> T | None:
    """function(*arguments); None where it fails, which the result then says."""
    try:
        return function(*arguments)
    except UnavailableError as reason:
        result.problem = str(reason)
    except Exception as error:
        result.problem, result.failed = f"failed ({describe(error)})", True
        result.samples.clear()
    return None


def _start(contender: Contender, case: Case, schedule: Schedule) -> Run:
    contender.require()
    contender.convert(case.workload, case.path)
    for path in {case.path, contender.file(case.path)}:
        read_into_page_cache(path)
    run = contender.open(case)
    run.microseconds(schedule.start, 1)
    return run


def _sample(run: Run, schedule: Schedule, result: Result) -> None:
    gc.collect()
    _wait_until_quiet()
    result.samples.append(turn(run, schedule))


def turn(run: Run, schedule: Schedule) -> float:
    """Microseconds a batch, once the speed is steady."""
    run.discard()
    if run.settles:
        _settle(run, schedule)
    return run.microseconds(schedule.seconds, schedule.batches)


def _settle(run: Run, schedule: Schedule) -> None:
    """Discards slices until two in a row are no faster than the fastest before them."""
    fastest, steady = math.inf, 0
    give_up = time.perf_counter() + schedule.longest
    while steady < 2 and time.perf_counter() < give_up:
        us = run.microseconds(schedule.slice, 4)
        steady = steady + 1 if us > 0.98 * fastest else 0
        fastest = min(fastest, us)


def _wait_until_quiet(longest: float = 2.0) -> None:
    """Waits until this process's threads rest, as prefetching does when its buffers are full."""
    interval = 0.02
    give_up = time.perf_counter() + longest
    busy = True
    while busy and time.perf_counter() < give_up:
        before = time.process_time()
        time.sleep(interval)
        busy = time.process_time() - before >= 0.05 * interval
