"""Whether a file is still the one that was opened."""

from __future__ import annotations

import errno
import os


def check_unchanged(path: str, then: os.stat_result) -> None:
    """Raises OSError where a file is another one by now than that of which this is the status."""
    now = os.stat(path)
    if (now.st_ino, now.st_size, now.st_mtime_ns) == (then.st_ino, then.st_size, then.st_mtime_ns):
        return
    changed = "was changed or replaced after it was opened; make the dataset again"
    raise OSError(errno.ESTALE, changed, path)
