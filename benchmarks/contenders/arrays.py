"""No loader: NumPy's own indexing; and the limit, the core's gather in a program without Python."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness.contender import Array, Loop, Run, UnavailableError, contender
from harness.machine import cpus
from harness.workloads import Case

_REPOSITORY = Path(__file__).resolve().parents[2]


def load(case: Case, *, mapped: bool) -> Array:
    """The case's array in memory, or mapped; every page is touched once, unless it is cold."""
    array: Array = np.load(case.path, mmap_mode="r" if mapped else None)
    if mapped and not case.cold:
        int(array.reshape(-1).view(np.uint8)[::4096].sum(dtype=np.int64))
    return array


def batches_of(array: Array, case: Case) -> Iterator[Array]:
    """Endless batches by NumPy's own indexing, in the case's order.

    Permutations are drawn beforehand and used in turn, so that a contender that is given row
    numbers is not charged for drawing them.
    """
    while not case.shuffle:
        for first in range(0, len(array), case.batch):
            # A copy, as indices make one: TensorFlow would read nothing of a view.
            yield array[first : first + case.batch].copy()
    rng = np.random.default_rng(case.seed)
    # No more than one epoch of a file that is larger than memory is read.
    drawn = [rng.permutation(len(array)) for _ in range(1 if case.cold else 4)]
    for permutation in itertools.cycle(drawn):
        for first in range(0, len(array), case.batch):
            yield array[permutation[first : first + case.batch]]


@contender("numpy-ram", "NumPy X[perm[i:i+B]], in RAM")
def _in_memory(case: Case) -> Run:
    array = load(case, mapped=False)
    return Loop(lambda: batches_of(array, case))


@contender("numpy-memmap", "NumPy X[perm[i:i+B]], memmap")
def _mapped(case: Case) -> Run:
    array = load(case, mapped=True)
    return Loop(lambda: batches_of(array, case))


@contender("raw-gather", "raw C++ gather (limit)", has_rows=False)
class _RawGather(Run):
    """Starts the program for each turn. It warms up by itself."""

    settles = False

    def __init__(self, case: Case) -> None:
        self._command = [_program(), str(case.path), str(case.batch), str(case.threads)]
        self._seed = str(case.seed)

    def microseconds(self, seconds: float, at_least: int) -> float:
        del at_least  # it is the fastest there is: a second is enough
        command = [*self._command, str(max(seconds, 1.0)), self._seed]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"raw_gather failed: {done.stderr.strip() or done.returncode}")
        return float(done.stdout)


@functools.cache
def _program() -> str:
    """The program, built in a temporary folder; raises UnavailableError where that fails."""
    cmake = shutil.which("cmake")
    if cmake is None:
        raise UnavailableError("not built (no cmake)")
    build = tempfile.mkdtemp(prefix="npyfast-raw-gather-")
    atexit.register(shutil.rmtree, build, ignore_errors=True)
    for command in (
        [cmake, "-S", str(_REPOSITORY), "-B", build, "-DNPYFAST_BUILD_BENCHMARKS=ON"],
        [cmake, "--build", build, "--target", "raw_gather", "--parallel", str(cpus())],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["cmake failed"]
            raise UnavailableError(f"not built ({lines[0]})")
    return f"{build}/raw_gather"
