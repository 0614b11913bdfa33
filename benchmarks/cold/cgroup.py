"""A memory cgroup of version 1 or 2, made for one measured process and its children."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_numbers = itertools.count()
# What the files are called in versions 1 and 2. The swap limit of version 1 counts memory too.
_FILES = {
    "limit": ("memory.limit_in_bytes", "memory.max"),
    "swap": ("memory.memsw.limit_in_bytes", "memory.swap.max"),
    "usage": ("memory.usage_in_bytes", "memory.current"),
    "peak": ("memory.max_usage_in_bytes", "memory.peak"),
    "kills": ("memory.oom_control", "memory.events"),
}


class MemoryGroup:
    """One cgroup, and what it holds."""

    def __init__(self, folder: Path, version: int) -> None:
        self.version = version
        self.processes = folder / "cgroup.procs"  # a process writes its id to it, to join
        self._folder = folder
        self._highest = 0

    def set_limit(self, limit: int) -> None:
        self._file("limit").write_text(str(limit))
        # Absent where the kernel accounts for no swap.
        with contextlib.suppress(OSError):
            self._file("swap").write_text(str(limit if self.version == 1 else 0))

    def usage_bytes(self) -> int:
        """Memory of its processes, with the page cache that they filled."""
        usage = int(self._file("usage").read_text())
        self._highest = max(self._highest, usage)
        return usage

    def anonymous_bytes(self) -> int:
        """Memory of its processes that is no file's."""
        return _field(self._folder / "memory.stat", "total_rss" if self.version == 1 else "anon")

    def peak_bytes(self) -> int:
        """The highest usage, page cache included."""
        try:
            return int(self._file("peak").read_text())
        except OSError:  # version 2 before Linux 5.19: the highest that usage_bytes() saw
            return self._highest

    def kills(self) -> int:
        """How many of its processes the kernel killed for memory."""
        return _field(self._file("kills"), "oom_kill")

    def end(self) -> None:
        """Kills what still runs in it, and removes it."""
        deadline = time.monotonic() + 20
        while True:
            for process in self.processes.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            try:
                return self._folder.rmdir()
            except OSError:  # busy until the last process is gone
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _file(self, what: str) -> Path:
        return self._folder / _FILES[what][self.version - 1]


class NoGroup(MemoryGroup):
    """The whole machine, in place of a cgroup: nothing is limited, nothing is known."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull), 0)
        self.processes = Path(os.devnull)

    def usage_bytes(self) -> int:
        return 0

    anonymous_bytes = peak_bytes = kills = usage_bytes


@contextlib.contextmanager
def memory_group(limit: int | None) -> Iterator[MemoryGroup]:
    """A cgroup with `limit` bytes of memory and no swap; with None, one without a limit.

    Raises OSError where none can be made.
    """
    try:
        root, version = _root()
        folder = root / f"npyfast-cold-{os.getpid()}-{next(_numbers)}"
        folder.mkdir()
    except OSError as error:
        raise OSError(
            f"no memory cgroup can be made ({error}): run this as root, not in a container, where "
            "the memory controller of cgroup version 1 or 2 is writable"
        ) from error
    group = MemoryGroup(folder, version)
    try:
        if limit is not None:
            group.set_limit(limit)
        yield group
    finally:
        group.end()


def _root() -> tuple[Path, int]:
    """Where new memory cgroups go, and their version."""
    mounts = psutil.disk_partitions(all=True)
    for each in mounts:
        if each.fstype == "cgroup" and "memory" in each.opts.split(","):
            return Path(each.mountpoint), 1
    unified = next((Path(each.mountpoint) for each in mounts if each.fstype == "cgroup2"), None)
    if unified is None or "memory" not in (unified / "cgroup.controllers").read_text().split():
        raise OSError("none is mounted")
    switch = unified / "cgroup.subtree_control"
    if "memory" not in switch.read_text().split():
        switch.write_text("+memory")
    return unified, 2


def _field(file: Path, name: str) -> int:
    fields = dict(line.split() for line in file.read_text().splitlines())
    return int(fields.get(name, 0))
