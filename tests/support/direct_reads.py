"""Data that is larger than the memory which npyfast may use, so that it is read directly."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cached

METHODS = ["io_uring", "aio", "threads"]


def has_direct_reads(path: str) -> bool:
    """Whether a file can be read past the page cache, and is: then nothing but whole blocks can be
    read. False on tmpfs, for example."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return False
    try:
        with mmap.mmap(-1, mmap.PAGESIZE) as block:
            os.preadv(file, [block], 0)
        os.pread(file, 1, 1)  # of no block
        return False
    except OSError as error:
        return error.errno == errno.EINVAL
    finally:
        os.close(file)


def let_go_of(folder: Path) -> None:
    """Has the kernel let go of all files in a folder."""
    for path in folder.iterdir():
        if path.is_file():
            cached.let_go(str(path))


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
