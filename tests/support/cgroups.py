"""Memory cgroups, of version 1 or 2, for processes that are to have little memory."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadlines import wait_until

ROOT = Path("/sys/fs/cgroup")

_numbers = itertools.count()


def _parent() -> tuple[Path, str] | None:
    """A folder that groups can be made in, and the name of their limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if "memory" in controllers.split(","):
            # Where a container has its own tree mounted, its group is the top one.
            for folder in (ROOT / "memory" / group.lstrip("/"), ROOT / "memory"):
                if folder.is_dir() and os.access(folder, os.W_OK):
                    return folder, "memory.limit_in_bytes"
        # The top group alone may have both processes and groups with a limit.
        control = ROOT / "cgroup.subtree_control"
        if not controllers and os.access(control, os.W_OK) and "memory" in control.read_text():
            return ROOT, "memory.max"
    return None


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[Path]:
    """A group whose processes have so many bytes together; gives the file to join it by.

    Skips the test where none can be made, as without root.
    """
    found = _parent()
    if found is None:
        pytest.skip("no memory cgroup can be made here: it takes root")
    parent, limit_name = found
    folder = parent / f"npyfast-test-{os.getpid()}-{next(_numbers)}"
    try:
        folder.mkdir()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        (folder / limit_name).write_text(str(limit))
        yield folder / "cgroup.procs"
    finally:
        wait_until(lambda: _removed(folder))


def _removed(folder: Path) -> bool:
    with contextlib.suppress(OSError):  # busy until the last process is gone
        folder.rmdir()
    return not folder.exists()
