"""Memory maps that the caller has made, such as `np.load(path, mmap_mode="r")`: which rows of which
file they are.

The kernel says what is mapped at an address. What NumPy remembers is only the path that a file had:
another file may have it by now.
"""

from __future__ import annotations

import os
import stat
from typing import Any, NamedTuple

import numpy as np

from npyfast._backends.fields import AnyArray
from npyfast._backends.header import Header, LocatedHeader
from npyfast._errors import NpyFormatError
from npyfast._sources.formats import has_header

_MAPS = "/proc/self/maps"


class MappedRows(NamedTuple):
    """An array that lies in a file."""

    path: str
    located: LocatedHeader


class _Mapping(NamedTuple):
    """A line of /proc/self/maps."""

    begin: int
    end: int
    shared: bool  # whether it shows the file, and not a private copy of some of its pages
    offset: int  # in the file
    device: tuple[int, int]
    inode: int
    path: str


def mapped_rows(array: AnyArray) -> MappedRows | None:
    """Where an array lies in a file; None if it is to be taken as memory.

    That is so unless the file has kept its path, and the rows lie in it like those of a `.npy`
    file: one after the other, in C order, or all items in Fortran order. Private changes of a map
    with mode "c" are in memory only. What was written to a map with mode "r+" or "w+" is brought to
    the file first. Raises NpyFormatError if the file has been shortened.
    """
    mapped = _map_behind(array)
    if mapped is None or array.ndim == 0 or array.nbytes == 0 or mapped.filename is None:
        return None
    flags = array.flags
    if not (flags.c_contiguous or flags.f_contiguous) or not has_header(array.dtype):
        return None
    begin = array.__array_interface__["data"][0]
    mapping = _mapping_at(begin, begin + array.nbytes)
    if mapping is None or not mapping.shared:
        return None
    if mapped.mode != "r":
        # Later changes of a page that is written back change the times of the file.
        mapped._mmap.flush()  # type: ignore[attr-defined]
    path = os.fsdecode(mapped.filename)
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not _is_same(mapping, path, status):
        return None
    offset = mapping.offset + begin - mapping.begin
    if status.st_size < offset + array.nbytes:
        raise NpyFormatError(
            f"{path}: has {status.st_size:,} bytes now, fewer than a memory map of it: it was "
            "truncated meanwhile; copy it again"
        )
    header = Header((0, 0), array.shape, array.dtype, not flags.c_contiguous, offset)
    return MappedRows(path, LocatedHeader(header, status))


def _map_behind(array: AnyArray) -> np.memmap[Any, Any] | None:
    """The memory map that an array is, or is a view of."""
    if type(array) not in (np.ndarray, np.memmap):
        return None
    found: Any = array
    while isinstance(found, np.ndarray):
        # The result of a copy has the type, but no map.
        if isinstance(found, np.memmap) and getattr(found, "_mmap", None) is not None:
            return found
        found = found.base
    return None


def _mapping_at(begin: int, end: int) -> _Mapping | None:
    """What this process has mapped at these addresses; None if it is not one mapping, or unknown,
    as on systems other than Linux."""
    try:
        with open(_MAPS, "rb") as maps:
            for line in maps:
                addresses, _, rest = line.partition(b" ")
                first, _, last = addresses.partition(b"-")
                if int(first, 16) <= begin < int(last, 16):
                    found = _parsed(int(first, 16), int(last, 16), rest)
                    return found if end <= found.end else None
    except (OSError, ValueError):
        pass
    return None


def _parsed(begin: int, end: int, rest: bytes) -> _Mapping:
    rights, offset, device, inode, *path = rest.rstrip(b"\n").split(maxsplit=4)
    major, _, minor = device.partition(b":")
    return _Mapping(
        begin,
        end,
        rights.endswith(b"s"),
        int(offset, 16),
        (int(major, 16), int(minor, 16)),
        int(inode),
        os.fsdecode(path[0]) if path else "",
    )


def _is_same(mapping: _Mapping, path: str, status: os.stat_result) -> bool:
    """Whether a file is the mapped one."""
    if not stat.S_ISREG(status.st_mode) or status.st_ino != mapping.inode:
        return False
    # Some file systems, such as Btrfs, show another device here; a file that was removed has
    # " (deleted)" behind its path.
    device = os.major(status.st_dev), os.minor(status.st_dev)
    return device == mapping.device or os.path.realpath(path) == mapping.path
