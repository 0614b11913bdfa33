"""Data that is larger than the memory which npyfast may use, so that it is read directly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

METHODS = ["io_uring", "aio", "threads"]


@contextmanager
def memory_of(size: str, method: str = "auto") -> Iterator[None]:
    """Limits the memory for data, and chooses how it is read directly."""
    settings = {"NPYFAST_MEMORY": size, "NPYFAST_DIRECT_READS": method}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
