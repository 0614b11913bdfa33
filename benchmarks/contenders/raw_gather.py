"""The limit: the C++ core's gather alone, in a process of its own, without Python."""

from __future__ import annotations

import functools
import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from workloads import Case

from contenders.base import Contender, Run, Settings, UnavailableError

_REPOSITORY = Path(__file__).resolve().parents[2]


class RawGather(Contender):
    key = "raw-gather"
    label = "raw C++ gather (limit)"
    does = "the core's gather into one buffer, shuffled rows, in a C++ program of its own"
    has_rows = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._program: Path | None = settings.raw_gather

    def require(self) -> None:
        if self._program is None:
            self._program = _build()
        if not self._program.is_file():
            raise UnavailableError(f"not found ({self._program})")

    def open(self, case: Case) -> Run:
        self.require()
        assert self._program is not None
        return _ProgramRun(self._program, case, self.settings.threads)


class _ProgramRun(Run):
    """Starts the program once for each turn; it warms up by itself."""

    def __init__(self, program: Path, case: Case, threads: int) -> None:
        self._command = [str(program), str(case.path), str(case.batch), str(threads)]
        self._seed = str(case.seed)

    def warm_up(self, seconds: float) -> None:
        del seconds

    def turn(self, seconds: float) -> float:
        command = [*self._command, str(seconds), self._seed]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"raw_gather failed: {done.stderr.strip() or done.returncode}")
        samples = json.loads(done.stdout)["microseconds_per_batch"]
        return float(statistics.mean(samples))

    def close(self) -> None:
        pass


@functools.cache
def _build() -> Path:
    """Builds the program in a temporary folder; raises UnavailableError where that fails."""
    cmake = shutil.which("cmake")
    if cmake is None:
        raise UnavailableError("not built (no cmake; or give --raw-gather PATH)")
    # Held by the cache's caller until the process ends: deleted by its finalizer then.
    folder = tempfile.TemporaryDirectory(prefix="npyfast-raw-gather-")
    _keep.append(folder)
    build = Path(folder.name)
    for command in (
        [cmake, "-S", str(_REPOSITORY), "-B", str(build), "-DNPYFAST_BUILD_BENCHMARKS=ON"],
        [cmake, "--build", str(build), "--target", "raw_gather"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise UnavailableError(f"not built ({lines[0] if lines else 'cmake failed'})")
    found = [path for path in build.rglob("raw_gather") if path.is_file()]
    if not found:
        raise UnavailableError("not built (no raw_gather among the build's files)")
    return found[0]


_keep: list[tempfile.TemporaryDirectory[str]] = []
