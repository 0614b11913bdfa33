"""The threads that run the option `transform`."""

from __future__ import annotations

import gc
import threading


def workers() -> list[str]:
    """The threads that run a transform."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("npyfast-transform")]


def no_workers() -> bool:
    return workers() == []


def collected() -> bool:
    """Whether there are none once all garbage is gone; a thread may have held some until now."""
    if workers():
        gc.collect()
    return no_workers()
