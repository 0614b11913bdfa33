"""Contenders in turns: each runs alone for a short while, round after round."""

from __future__ import annotations

import dataclasses
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from contenders.base import Contender, Run, UnavailableError
from workloads import Case, read_into_page_cache


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long everything runs, in seconds."""

    rounds: int
    seconds: float  # of a turn
    warm_up: float = 0.05  # before each turn
    start: float = 2.0  # once, after a contender has been started: an epoch, or this long


@dataclasses.dataclass
class Result:
    """What one contender did in one case: microseconds a batch, one sample a turn, or why none."""

    contender: str
    case: str
    samples: list[float] = dataclasses.field(default_factory=list)
    problem: str | None = None
    failed: bool = False
    unquiet: int = 0  # turns that began while this process still worked in the background

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None


def measure(
    cases: Sequence[Case],
    contenders: Sequence[Contender],
    schedule: Schedule,
    progress: Callable[[str], None],
) -> list[Result]:
    """Measures every contender in every case; calls `progress` before each turn.

    A contender that is not installed, or that fails, gets a Result that says so.
    """
    results = []
    for case in cases:
        results += _measure_case(case, contenders, schedule, progress)
        gc.collect()
    return results


def turns(cases: Sequence[Case], contenders: Sequence[Contender], schedule: Schedule) -> int:
    """How often measure() calls `progress`."""
    return len(cases) * len(contenders) * (schedule.rounds + 1)


def _measure_case(
    case: Case,
    contenders: Sequence[Contender],
    schedule: Schedule,
    progress: Callable[[str], None],
) -> list[Result]:
    results = {each.key: Result(each.key, case.name) for each in contenders}
    running: dict[str, Run] = {}
    try:
        for contender in contenders:
            progress(f"{case.name}: starting {contender.label}")
            run = _start(contender, case, schedule, results[contender.key])
            if run is not None:
                running[contender.key] = run
        for number in range(schedule.rounds):
            keys = [each.key for each in contenders]
            random.Random(number).shuffle(keys)
            for key in keys:
                progress(f"{case.name}: round {number + 1}, {key}")
                if key in running and not _turn(running[key], schedule, results[key]):
                    running.pop(key).close()
    finally:
        for run in running.values():
            run.close()
    return list(results.values())


def _start(contender: Contender, case: Case, schedule: Schedule, result: Result) -> Run | None:
    try:
        contender.require()
        contender.convert(case.workload, case.path)
        for path in (case.path, contender.converted(case.path)):
            if Path(path).exists():
                read_into_page_cache(path)
        run = contender.open(case)
        run.warm_up(schedule.start)
    except UnavailableError as reason:
        result.problem = str(reason)
        return None
    except Exception as error:
        _failed(result, error)
        return None
    return run


def _turn(run: Run, schedule: Schedule, result: Result) -> bool:
    gc.collect()
    try:
        if not _wait_until_quiet():
            result.unquiet += 1
        run.warm_up(schedule.warm_up)
        result.samples.append(run.turn(schedule.seconds))
    except Exception as error:
        _failed(result, error)
        return False
    return True


def _failed(result: Result, error: Exception) -> None:
    lines = str(error).strip().splitlines()
    result.problem = f"failed ({type(error).__name__}: {lines[0] if lines else 'no text'})"
    result.failed = True
    result.samples.clear()


def _wait_until_quiet(longest: float = 2.0) -> bool:
    """Waits until this process's threads rest: bounded prefetching ends when its buffers are full.

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
