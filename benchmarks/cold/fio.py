"""What the device can do, measured by fio past the page cache."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

_QUEUES = ((1, 32), (1, 64), (1, 128), (2, 64))


class FioError(Exception):
    """fio is missing or failed; the text says what to do."""


@dataclasses.dataclass(frozen=True)
class Queue:
    """How many requests are under way: `jobs` processes with `depth` each."""

    jobs: int
    depth: int

    def __str__(self) -> str:
        return (
            f"depth {self.depth}" if self.jobs == 1 else f"{self.jobs} jobs of depth {self.depth}"
        )


class Fio:
    """Reads files with O_DIRECT. Raises FioError where fio is not installed."""

    def __init__(self, seconds: float) -> None:
        program = shutil.which("fio")
        if program is None:
            raise FioError("fio is needed to measure the disk: apt-get install fio")
        self._program = program
        self._seconds = seconds
        self.version = self._output("--version").strip()
        engines = self._output("--enghelp").split()
        known = [engine for engine in ("libaio", "io_uring") if engine in engines]
        if not known:
            raise FioError("this fio has neither libaio nor io_uring: install another")
        self.engine = known[0]

    def best_queue(self, path: Path, request_bytes: int) -> Queue:
        """The one of a few queues that brings the most random reads a second."""
        queues = [Queue(jobs, depth) for jobs, depth in _QUEUES]
        return max(queues, key=lambda queue: self.random(path, request_bytes, queue))

    def random(self, path: Path, request_bytes: int, queue: Queue) -> float:
        """Random reads a second, each of `request_bytes`."""
        read = self._read(
            path,
            "--rw=randread",
            f"--bs={request_bytes}",
            f"--iodepth={queue.depth}",
            f"--numjobs={queue.jobs}",
            "--time_based",
            f"--runtime={self._seconds}s",
        )
        return float(read["iops"])

    def sequential(self, path: Path) -> float:
        """Bytes a second, read from the file's start on."""
        limit = ("--time_based", f"--runtime={self._seconds}s")
        return float(self._read(path, *_SEQUENTIAL, *limit)["bw_bytes"])

    def whole(self, path: Path) -> float:
        """Seconds to read the whole file once."""
        return float(self._read(path, *_SEQUENTIAL)["runtime"]) / 1e3

    def _read(self, path: Path, *options: str) -> dict[str, Any]:
        output = self._output(
            "--name=read",
            # fio takes a colon for the end of a file's name.
            "--filename=" + str(path).replace(":", "\\:"),
            "--readonly",
            "--direct=1",
            f"--ioengine={self.engine}",
            "--group_reporting",
            "--randrepeat=0",
            "--output-format=json",
            *options,
        )
        # Warnings come before the JSON.
        read: dict[str, Any] = json.loads(output[output.index("{") :])["jobs"][0]["read"]
        return read

    def _output(self, *options: str) -> str:
        done = subprocess.run(
            [self._program, *options], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise FioError(f"fio failed: {(done.stderr or done.stdout).strip()[:500]}")
        return done.stdout


_SEQUENTIAL = ("--rw=read", "--bs=1M", "--iodepth=16")
