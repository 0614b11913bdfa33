"""Files that are opened again: where they are, and whether they are still the same."""

from __future__ import annotations

import errno
import os


def absolute_path(path: str) -> str:
    """A path that leads to the same file whatever directory this process changes to."""
    if os.path.isabs(path):
        return path
    try:
        return os.path.join(os.getcwd(), path)
    except FileNotFoundError:  # the directory was removed: there is no such path
        return path


def check_unchanged(path: str, then: os.stat_result) -> None:
    """Raises OSError where a file is another one by now than that of which this is the status."""
    now = os.stat(path)
    if (now.st_ino, now.st_size, now.st_mtime_ns) == (then.st_ino, then.st_size, then.st_mtime_ns):
        return
    changed = "was changed or replaced after it was opened; make the dataset again"
    raise OSError(errno.ESTALE, changed, path)
