"""The disk a folder is on: its speed by fio, the kernel's readahead, and what is read from it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.machine import mount_of

_MORE = {"io_uring": ("--fixedbufs=1", "--registerfiles=1")}  # options that make an engine faster
_SEQUENTIAL = ("--rw=read", "--bs=1M", "--iodepth=16")


class Requests(NamedTuple):
    """What fio did at random: requests a second, and the microseconds of CPU that one took."""

    rate: float
    cpu_us: float


class Disk:
    """The block device of a folder, where the file system has one of its own."""

    def __init__(self, folder: Path) -> None:
        number = folder.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        if not device.exists():  # btrfs, overlay: the number is the file system's own
            device = Path("/sys/class/block") / Path(mount_of(folder).device).name
        device = device.resolve()
        self._device = device.parent if (device / "partition").exists() else device
        self._readahead = self._device / "queue" / "read_ahead_kb"

    def readahead_kib(self) -> int | None:
        """The kernel's readahead, or None where the device has none."""
        return int(self._readahead.read_text()) if self._readahead.exists() else None

    def set_readahead_kib(self, kib: int) -> None:
        """Raises OSError where that is not allowed. Files that are open keep theirs."""
        self._readahead.write_text(str(kib))

    @contextlib.contextmanager
    def readahead_restored(self) -> Iterator[None]:
        """Restores the readahead on exit."""
        before = self.readahead_kib()
        try:
            yield
        finally:
            if before is not None and self.readahead_kib() != before:
                self.set_readahead_kib(before)

    def bytes_read(self) -> int | None:
        """Bytes read from the device since the system started, by all processes."""
        stat = self._device / "stat"
        return int(stat.read_text().split()[2]) * 512 if stat.is_file() else None


class Fio:
    """Measures a file's disk by fio, past the page cache. Raises OSError where fio is missing."""

    def __init__(self, seconds: float) -> None:
        if shutil.which("fio") is None:
            raise OSError("fio is needed to measure the disk: apt-get install fio")
        self._limit = ("--time_based", f"--runtime={round(seconds * 1e3)}ms")
        self.version = _output("fio", "--version").strip()
        engines = _output("fio", "--enghelp").split()
        self._engines = [engine for engine in ("libaio", "io_uring") if engine in engines]
        if not self._engines:
            raise OSError("this fio has neither libaio nor io_uring: install another")
        self.engine = self._engines[0]

    def choose_engine(self, path: Path, request_bytes: int, depth: int) -> str:
        """Uses the engine with the most random reads a second from now on."""

        def rate(engine: str) -> float:
            self.engine = engine
            return self.random(path, request_bytes, depth).rate

        self.engine = max(self._engines, key=rate)
        return self.engine

    def random(self, path: Path, request_bytes: int, depth: int) -> Requests:
        """Reads `request_bytes` at random, with `depth` requests in flight."""
        options = (f"--bs={request_bytes}", f"--iodepth={depth}")
        job = self._run(path, "--rw=randread", *options, *self._limit)
        cpu_us = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] * 1e3
        return Requests(float(job["read"]["iops"]), cpu_us / job["read"]["total_ios"])

    def sequential(self, path: Path) -> float:
        """Bytes a second, from the file's start on."""
        return float(self._run(path, *_SEQUENTIAL, *self._limit)["read"]["bw_bytes"])

    def whole(self, path: Path) -> float:
        """Seconds to read the whole file once."""
        return float(self._run(path, *_SEQUENTIAL)["read"]["runtime"]) / 1e3

    def _run(self, path: Path, *options: str) -> dict[str, Any]:
        name = str(path).replace(":", "\\:")  # fio takes a colon for the end of a file's name
        how = f"--name=read --readonly --direct=1 --ioengine={self.engine} --group_reporting"
        more = ("--randrepeat=0", "--output-format=json", f"--filename={name}")
        output = _output("fio", *how.split(), *more, *_MORE.get(self.engine, ()), *options)
        # Warnings come before the JSON.
        job: dict[str, Any] = json.loads(output[output.index("{") :])["jobs"][0]
        return job


def drop_pages(path: Path) -> None:
    """Drops a file's pages from the page cache; where some stay, drops the whole cache.

    Otherwise programs and libraries stay cached, so that the next process starts fast.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if cached_pages(path):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        left = cached_pages(path)
        if left:
            raise OSError(f"{path}: {left} pages stay in the page cache: which process maps it?")


def cached_pages(path: Path) -> int:
    """How many pages of a file are in the page cache."""
    return int(_output("fincore", "--noheadings", "--output", "PAGES", str(path)))


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[:500]}")
    return done.stdout
