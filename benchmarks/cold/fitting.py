"""A file that fits in memory: its first epoch from the disk, and those after it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from workloads import read_into_page_cache

from cold.child import Task
from cold.data import RowSize, make
from cold.disk import drop_pages
from cold.entries import ENTRIES
from cold.fio import Fio
from cold.process import run
from cold.results import Fit, Plan


def measure_fitting(
    plan: Plan,
    fio: Fio,
    size: RowSize,
    entries: Sequence[str],
    progress: Callable[[str], None],
) -> list[Fit]:
    """Two epochs of a file that fits, once with nothing of it cached, once with all of it."""
    workload = size.workload(plan.fits_bytes)
    path = make(workload, plan.folder)
    fits = {
        key: Fit(key, size.name, -(-workload.rows // size.batch), workload.nbytes)
        for key in entries
    }
    try:
        for number in range(plan.rounds):
            for key in random.Random(number).sample(list(entries), len(entries)):
                progress(f"{size.name} that fit, round {number + 1}: {ENTRIES[key].label}")
                if fits[key].problem is None:
                    _fit(plan, fio, size, path, workload.rows, fits[key])
    finally:
        if not plan.keep:
            path.unlink(missing_ok=True)
    return list(fits.values())


def _fit(
    plan: Plan,
    fio: Fio,
    size: RowSize,
    path: Path,
    rows: int,
    fit: Fit,
) -> None:
    task = Task("epochs", fit.entry, [(size.name, str(path), rows, list(size.shape), size.batch)])
    before = fio.whole(path)
    cold = run(task, plan.fits_limit, plan.longest, lambda: drop_pages(path))
    after = fio.whole(path)
    warm = run(task, plan.fits_limit, plan.longest, lambda: read_into_page_cache(path))
    fit.problem = cold.problem or warm.problem
    if cold.result is not None and warm.result is not None:
        fit.device.append((before + after) / 2)
        fit.first.append(cold.result["first"])
        fit.second.append(cold.result["second"])
        fit.warm.append(warm.result["second"])
