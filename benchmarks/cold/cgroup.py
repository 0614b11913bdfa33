"""A memory cgroup of version 1 or 2, made for one measured process and its children."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_numbers = itertools.count()


class CgroupError(Exception):
    """There is no memory cgroup to be had; the text says why and what to do."""


@dataclasses.dataclass(frozen=True)
class _Names:
    """What the files of a version are called."""

    version: int
    limit: str
    swap_limit: tuple[str, bool]  # and whether it counts memory and swap together
    usage: str
    peak: str
    anonymous: str  # in memory.stat
    kills: str  # the file with a line oom_kill


_V1 = _Names(
    1,
    limit="memory.limit_in_bytes",
    swap_limit=("memory.memsw.limit_in_bytes", True),
    usage="memory.usage_in_bytes",
    peak="memory.max_usage_in_bytes",
    anonymous="total_rss",
    kills="memory.oom_control",
)
_V2 = _Names(
    2,
    limit="memory.max",
    swap_limit=("memory.swap.max", False),
    usage="memory.current",
    peak="memory.peak",
    anonymous="anon",
    kills="memory.events",
)


class MemoryGroup:
    """One cgroup, with what it holds."""

    def __init__(self, folder: Path, names: _Names) -> None:
        self._folder = folder
        self._names = names
        self._highest = 0

    @property
    def version(self) -> int:
        return self._names.version

    @property
    def processes(self) -> Path:
        """The file a process writes its id to, to join."""
        return self._folder / "cgroup.procs"

    def set_limit(self, limit: int) -> None:
        (self._folder / self._names.limit).write_text(str(limit))
        name, with_memory = self._names.swap_limit
        # Absent where the kernel accounts for no swap.
        with contextlib.suppress(OSError):
            (self._folder / name).write_text(str(limit if with_memory else 0))

    def anonymous_bytes(self) -> int:
        """Memory of its processes that is no file's."""
        self._highest = max(self._highest, int(self._read(self._names.usage)))
        return self._field("memory.stat", self._names.anonymous)

    def peak_bytes(self) -> int:
        """The highest usage, page cache included."""
        try:
            return int(self._read(self._names.peak))
        except OSError:  # version 2 before Linux 5.19: the highest that was looked at
            return self._highest

    def kills(self) -> int:
        """How many of its processes the kernel killed for memory."""
        return self._field(self._names.kills, "oom_kill")

    def kill(self) -> None:
        """Kills what runs in it."""
        for process in self._read("cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)

    def end(self) -> None:
        """Kills what still runs in it, and removes it."""
        deadline = time.monotonic() + 20
        while True:
            self.kill()
            try:
                self._folder.rmdir()
                return
            except OSError:  # busy until the last process is gone
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()

    def _field(self, name: str, field: str) -> int:
        for line in self._read(name).splitlines():
            key, value = line.split()
            if key == field:
                return int(value)
        return 0


@contextlib.contextmanager
def memory_group(limit: int | None) -> Iterator[MemoryGroup]:
    """A cgroup with `limit` bytes of memory and no swap; with None, one without a limit.

    Raises CgroupError where none can be made.
    """
    root, names = _root()
    folder = root / f"npyfast-cold-{os.getpid()}-{next(_numbers)}"
    try:
        folder.mkdir()
    except OSError as error:
        raise CgroupError(
            f"no memory cgroup can be made ({error.strerror}): run this as root, where "
            f"the memory controller of cgroup version {names.version} is writable"
        ) from error
    group = MemoryGroup(folder, names)
    try:
        if limit is not None:
            group.set_limit(limit)
        yield group
    finally:
        group.end()


def _root() -> tuple[Path, _Names]:
    """Where new memory cgroups go."""
    unified = None
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind == "cgroup" and "memory" in options.split(","):
            return Path(mount), _V1
        if kind == "cgroup2":
            unified = Path(mount)
    if unified is None or "memory" not in (unified / "cgroup.controllers").read_text().split():
        raise CgroupError("no memory cgroup is mounted, neither of version 1 nor of version 2")
    switch = unified / "cgroup.subtree_control"
    if "memory" not in switch.read_text().split():
        try:
            switch.write_text("+memory")
        except OSError as error:
            raise CgroupError(
                f"{switch}: the memory controller can't be passed on ({error.strerror}): run this "
                "as root and not in a container's own cgroup"
            ) from error
    return unified, _V2
