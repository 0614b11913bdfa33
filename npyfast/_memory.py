"""The most memory that this process may use."""

from __future__ import annotations

from pathlib import Path


def memory_limit(root: Path = Path("/")) -> int | None:
    """The smaller of the machine's memory and the limit of this process's control group (version 1
    or 2, its own or an ancestor's), in bytes; None if unknown.

    Unlike the free memory, it is the same in every run. `root` contains /proc and /sys.
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
        # In a container, the path may be the host's and the mount the container's.
        own = mount / group.lstrip("/")
        for folder in [own, *own.parents]:
            found += [int(text) for text in _lines(folder / file)[:1] if text.isdigit()]
            if folder == mount:
                break
    # Without a limit, version 2 has the text "max", and version 1 a very large number.
    return found
