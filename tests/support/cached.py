"""What of a file is in the page cache, by mincore(2)."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from deadlines import wait_until

_libc = ctypes.CDLL(None, use_errno=True)

PAGE = mmap.PAGESIZE


def cached(path: str) -> npt.NDArray[np.bool_]:
    """For each page of a file, whether it is in memory."""
    size = os.path.getsize(path)
    found = np.zeros(-(-size // PAGE), np.uint8)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as mapped:
        view: Any = np.frombuffer(mapped, np.uint8)
        result = _libc.mincore(
            ctypes.c_void_p(view.ctypes.data),
            ctypes.c_size_t(size),
            found.ctypes.data_as(ctypes.c_void_p),
        )
        del view
    assert result == 0, os.strerror(ctypes.get_errno())
    return (found & 1).astype(bool)


def evict(path: str) -> None:
    """Has the kernel let go of a file that nobody has mapped; skips the test on a filesystem that
    has its files nowhere else."""
    if _filesystem(path) in ("tmpfs", "ramfs"):
        pytest.skip("this filesystem keeps its files in memory")

    def gone() -> bool:
        let_go(path)
        return not cached(path).any()

    wait_until(gone)


def let_go(path: str) -> None:
    """Has the kernel let go of what it can of a file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _filesystem(path: str) -> str:
    """The type of the filesystem that a file is on."""
    parents = [str(parent) for parent in Path(path).resolve().parents]
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    # Of mounts at one place, the last one hides the others.
    types = {place: kind for _, place, kind, *_ in lines}
    return next(types[parent] for parent in parents if parent in types)


def needs_told_pages(path: str) -> None:
    """Skips the test where only mincore(2) knows what is there, as on overlayfs."""
    with open(path, "rb") as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            pass  # it is not there
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            pytest.skip(f"this filesystem does not tell what is in memory: {error}")


def read(path: str, offset: int, size: int) -> None:
    """Has a range read, and nothing around it."""
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        assert len(os.pread(file.fileno(), size, offset)) == size
