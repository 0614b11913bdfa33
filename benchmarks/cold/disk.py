"""The disk a folder is on: the kernel's readahead for it, and what has been read from it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np


class Disk:
    """The block device of a folder. `name` is None where the file system has none of its own."""

    def __init__(self, folder: Path) -> None:
        self._device = _device(folder.resolve())
        self.name = None if self._device is None else self._device.name

    def readahead_kib(self) -> int | None:
        """The kernel's readahead, or None where it can't be found out."""
        try:
            return int(self._readahead().read_text())
        except OSError:
            return None

    def set_readahead_kib(self, kib: int) -> None:
        """Raises OSError where that is not allowed. Files that are open keep theirs."""
        self._readahead().write_text(str(kib))

    @contextlib.contextmanager
    def readahead_restored(self) -> Iterator[None]:
        """Puts the readahead back to what it was, whatever happens meanwhile."""
        before = self.readahead_kib()
        try:
            yield
        finally:
            if before is not None and self.readahead_kib() != before:
                self.set_readahead_kib(before)

    def bytes_read(self) -> int | None:
        """Bytes read from the device since it is there, by whomever."""
        if self._device is None:
            return None
        return int((self._device / "stat").read_text().split()[2]) * 512

    def _readahead(self) -> Path:
        if self._device is None:
            raise FileNotFoundError("no block device")
        return self._device / "queue" / "read_ahead_kb"


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
            raise OSError(f"{path}: {left} pages stay in the page cache: who maps this file?")


def _cached_pages(path: Path) -> int:
    """How many of a file's pages are in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    with (
        path.open("rb") as file,
        # A private mapping that may be written, as ctypes takes the address of no other.
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapping,
    ):
        pages = (ctypes.c_ubyte * -(-len(mapping) // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(mapping)
        failed = libc.mincore(ctypes.addressof(first), len(mapping), pages)
        del first
        if failed:
            raise OSError(ctypes.get_errno(), "mincore failed", str(path))
        return int((np.frombuffer(memoryview(pages), np.uint8) & 1).sum())


def _device(folder: Path) -> Path | None:
    number = folder.stat().st_dev
    found = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not found.exists():  # btrfs, overlay: the number is the file system's own
        found = Path("/sys/class/block") / Path(_mounted_from(folder)).name
    if not found.exists():
        return None
    found = found.resolve()
    return found.parent if (found / "partition").exists() else found


def _mounted_from(folder: Path) -> str:
    best, device = "", "none"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, mount, *_ = line.split()
        if folder.is_relative_to(mount) and len(mount) >= len(best):
            best, device = mount, source
    return device
