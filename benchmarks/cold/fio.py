"""What the device can do, measured by fio past the page cache."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

_SEQUENTIAL = ("--rw=read", "--bs=1M", "--iodepth=16")


class FioError(Exception):
    """fio is missing or failed; the text says what to do."""


class Queue(NamedTuple):
    """How many requests are in flight: `jobs` processes with `depth` each."""

    jobs: int
    depth: int

    def __str__(self) -> str:
        depth = f"depth {self.depth}"
        return depth if self.jobs == 1 else f"{self.jobs} jobs of {depth}"


_QUEUES = (Queue(1, 32), Queue(1, 64), Queue(1, 128), Queue(2, 64))


class Fio:
    """Reads files with O_DIRECT. Raises FioError where fio is not installed."""

    def __init__(self, seconds: float) -> None:
        if shutil.which("fio") is None:
            raise FioError("fio is needed to measure the disk: apt-get install fio")
        self._limit = ("--time_based", f"--runtime={seconds}s")
        self.version = _output("--version").strip()
        engines = _output("--enghelp").split()
        known = [engine for engine in ("libaio", "io_uring") if engine in engines]
        if not known:
            raise FioError("this fio has neither libaio nor io_uring: install another")
        self.engine = known[0]

    def best_queue(self, path: Path, request_bytes: int) -> Queue:
        """The one of a few queues with the most random reads a second."""
        return max(_QUEUES, key=lambda queue: self.random(path, request_bytes, queue))

    def random(self, path: Path, request_bytes: int, queue: Queue) -> float:
        """Random reads a second, each of `request_bytes`."""
        options = (f"--bs={request_bytes}", f"--iodepth={queue.depth}", f"--numjobs={queue.jobs}")
        return float(self._read(path, "--rw=randread", *options, *self._limit)["iops"])

    def sequential(self, path: Path) -> float:
        """Bytes a second, from the file's start on."""
        return float(self._read(path, *_SEQUENTIAL, *self._limit)["bw_bytes"])

    def whole(self, path: Path) -> float:
        """Seconds to read the whole file once."""
        return float(self._read(path, *_SEQUENTIAL)["runtime"]) / 1e3

    def _read(self, path: Path, *options: str) -> dict[str, Any]:
        output = _output(
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


def _output(*options: str) -> str:
    done = subprocess.run(["fio", *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FioError(f"fio failed: {(done.stderr or done.stdout).strip()[:500]}")
    return done.stdout
