"""The memory that this process may have at the most."""

from __future__ import annotations

from pathlib import Path


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes of the machine's memory, or the limit of this process's control group (version 1 or 2,
    its own or an ancestor's) where that is less; None where nothing is known.

    Other than what is free just now it is the same from run to run. `root` is where /proc and /sys
    are.
    """
    limits = [*_machine(root), *_groups(root)]
    return min(limits, default=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _machine(root: Path) -> list[int]:
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return [1024 * int(value.split()[0])]
    return []


def _groups(root: Path) -> list[int]:
    found = []
    for line in _lines(root / "proc/self/cgroup"):
        # "hierarchy:controllers:/group"; version 2 has no controllers.
        if line.count(":") < 2:
            continue
        _, controllers, group = line.split(":", 2)
        if not controllers:
            mount, file = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, file = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the group may be one of the host's, and the mount the container's own.
        own = mount / group.lstrip("/")
        for folder in [own, *own.parents]:
            found += [int(text) for text in _lines(folder / file)[:1] if text.isdigit()]
            if folder == mount:
                break
    # Version 2 says "max" for no limit, which is no number; version 1 a very large one.
    return found
