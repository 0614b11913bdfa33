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

from harness.contender import Contender, Run, UnavailableError
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
    unquiet: int = 0  # turns that began while this process still worked in the background

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
            run = _start(contender, case, schedule, results[contender.key])
            if run is not None:
                running[contender.key] = run
        for number in range(schedule.rounds):
            for key in shuffled(list(results), number):
                progress(f"{case.name}: round {number + 1}, {key}")
                if key in running and not _turn(running[key], schedule, results[key]):
                    running.pop(key).close()
    finally:
        for run in running.values():
            run.close()
        gc.collect()
    return list(results.values())


def _start(contender: Contender, case: Case, schedule: Schedule, result: Result) -> Run | None:
    try:
        contender.require()
        contender.convert(case.workload, case.path)
        for path in {case.path, contender.file(case.path)}:
            read_into_page_cache(path)
        run = contender.open(case)
        run.microseconds(schedule.start, 1)
    except UnavailableError as reason:
        result.problem = str(reason)
    except Exception as error:
        _failed(result, error)
    else:
        return run
    return None


def _turn(run: Run, schedule: Schedule, result: Result) -> bool:
    gc.collect()
    try:
        result.unquiet += not _wait_until_quiet()
        result.samples.append(turn(run, schedule))
    except Exception as error:
        _failed(result, error)
        return False
    return True


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


def _failed(result: Result, error: Exception) -> None:
    result.problem = f"failed ({describe(error)})"
    result.failed = True
    result.samples.clear()


def describe(error: BaseException) -> str:
    """The type and the first line of an exception."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no text'}"


def _wait_until_quiet(longest: float = 2.0) -> bool:
    """Waits until this process's threads rest, as prefetching does when its buffers are full.

    Returns False where they did not within `longest` seconds.
    """
    interval = 0.02
    give_up = time.perf_counter() + longest
    while time.perf_counter() < give_up:
        before = time.process_time()
        time.sleep(interval)
        if time.process_time() - before < 0.05 * interval:
            return True
    return False
