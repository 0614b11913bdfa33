"""The limit: the C++ core's gather alone, in a process of its own, without Python."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.contender import Contender, Run, UnavailableError
from harness.workloads import Case

_REPOSITORY = Path(__file__).resolve().parents[2]


class _Program(Run):
    """Starts the program for each turn. It warms up by itself."""

    settles = False

    def __init__(self, program: Path, case: Case) -> None:
        if not program.is_file():
            raise UnavailableError(f"not found ({program})")
        self._command = [str(program), str(case.path), str(case.batch), str(case.threads)]
        self._seed = str(case.seed)

    def microseconds(self, seconds: float, at_least: int) -> float:
        del at_least  # it is the fastest there is: a second is enough
        command = [*self._command, str(max(seconds, 1.0)), self._seed]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"raw_gather failed: {done.stderr.strip() or done.returncode}")
        return float(done.stdout)


@functools.cache
def _built() -> Path:
    """The program, built in a temporary folder; raises UnavailableError where that fails."""
    cmake = shutil.which("cmake")
    if cmake is None:
        raise UnavailableError("not built (no cmake; or give --raw-gather PATH)")
    build = tempfile.mkdtemp(prefix="npyfast-raw-gather-")
    atexit.register(shutil.rmtree, build, ignore_errors=True)
    for command in (
        [cmake, "-S", str(_REPOSITORY), "-B", build, "-DNPYFAST_BUILD_BENCHMARKS=ON"],
        [cmake, "--build", build, "--target", "raw_gather", "--parallel"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise UnavailableError(f"not built ({lines[0] if lines else 'cmake failed'})")
    return Path(build) / "raw_gather"


RAW_GATHER = Contender(
    "raw-gather",
    "raw C++ gather (limit)",
    "the core's gather into one buffer, shuffled rows, in a C++ program of its own",
    lambda case: _Program(_built(), case),
    has_rows=False,
)


def raw_gather(program: Path) -> Contender:
    """The same by a program that is built already."""
    return dataclasses.replace(RAW_GATHER, start=lambda case: _Program(program, case))
