"""The disk a folder is on: the kernel's readahead for it, and what has been read from it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness.machine import mount_of


class Disk:
    """The block device of a folder, where the file system has one of its own."""

    def __init__(self, folder: Path) -> None:
        number = folder.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        if not device.exists():  # btrfs, overlay: the number is the file system's own
            device = Path("/sys/class/block") / Path(mount_of(folder).device).name
        device = device.resolve()
        self._device = device.parent if (device / "partition").exists() else device
        self._readahead = self._device / "queue" / "read_ahead_kb"

    def readahead_kib(self) -> int | None:
        """The kernel's readahead, or None where the device has none."""
        return int(self._readahead.read_text()) if self._readahead.exists() else None

    def set_readahead_kib(self, kib: int) -> None:
        """Raises OSError where that is not allowed. Files that are open keep theirs."""
        self._readahead.write_text(str(kib))

    @contextlib.contextmanager
    def readahead_restored(self) -> Iterator[None]:
        """Restores the readahead, whatever happens meanwhile."""
        before = self.readahead_kib()
        try:
            yield
        finally:
            if before is not None and self.readahead_kib() != before:
                self.set_readahead_kib(before)

    def bytes_read(self) -> int | None:
        """Bytes read from the device since the system started, by all processes."""
        stat = self._device / "stat"
        return int(stat.read_text().split()[2]) * 512 if stat.is_file() else None


def drop_pages(path: Path) -> None:
    """Drops a file's pages from the page cache; where some stay, drops the whole cache.

    Programs and libraries stay cached, so that the next process starts soon.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if _cached_pages(path):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        left = _cached_pages(path)
        if left:
            raise OSError(f"{path}: {left} pages stay in the page cache: which process maps it?")


def _cached_pages(path: Path) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    with (
        path.open("rb") as file,
        # A private, writable mapping, as ctypes takes the address of no other.
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapping,
    ):
        pages = np.zeros(-(-len(mapping) // mmap.PAGESIZE), np.uint8)
        first = ctypes.c_char.from_buffer(mapping)
        failed = libc.mincore(ctypes.addressof(first), len(mapping), pages.ctypes.data)
        del first
        if failed:
            raise OSError(ctypes.get_errno(), "mincore failed", str(path))
        return int((pages & 1).sum())
