"""How much memory a process may have, from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from npyfast._memory import memory_limit

GIB = 1 << 30


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal:  8388608 kB\nMemFree: 5 kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 8 * GIB),
        # Version 2: the group's own limit, an ancestor's, that of a container's mount.
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1024\n"}, 1024),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/memory.max": f"{3 * GIB}\n",
            },
            3 * GIB,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2048\n"}, 2048),
        ({"proc/self/cgroup": "0::/../x\n", "sys/fs/cgroup/memory.max": "2048\n"}, 2048),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": f"{9 * GIB}\n"}, 8 * GIB),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 8 * GIB),
        # Version 1, on its own and beside version 2; a very large number is no limit.
        (
            {
                "proc/self/cgroup": "4:cpu,memory:/docker/1\n3:pids:/x\n0::/y\n",
                "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": f"{5 * GIB}\n",
            },
            5 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/1\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{5 * GIB}\n",
            },
            5 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/a\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
            },
            8 * GIB,
        ),
        # Another controller's, and what is no line of such a file.
        (
            {
                "proc/self/cgroup": "\n4:cpu\n4:cpu:/a\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1\n",
            },
            8 * GIB,
        ),
    ],
)
def test_the_least_of_all_limits(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    assert memory_limit(machine(tmp_path, files)) == limit


def test_where_nothing_is_known(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None
    assert memory_limit(machine(tmp_path, {"proc/meminfo": "MemFree: 3 kB\n"})) is None


def test_of_this_machine() -> None:
    limit = memory_limit()
    assert limit is not None
    assert limit > 1 << 20
