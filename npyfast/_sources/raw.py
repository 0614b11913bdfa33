"""Raw binary files: consecutive items without a header."""

from __future__ import annotations

import errno
import math
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from npyfast._backends.header import Header, LocatedHeader, make_dtype
from npyfast._errors import NpyFormatError, printable, shown
from npyfast._options import make_shape
from npyfast._sources.formats import (
    UNKNOWN,
    format_of_descriptor,
    has_header,
    open_file,
)


@dataclass(frozen=True)
class Layout:
    """What a raw file holds, as the options of `npyfast.source` describe it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]  # -1 rows: as many as the file holds
    offset: int

    @staticmethod
    def make(
        dtype: npt.DTypeLike, shape: int | Sequence[int] | None, offset: SupportsIndex
    ) -> Layout:
        """Checks the options."""
        if isinstance(dtype, str) and dtype == "bfloat16":
            made = np.dtype("V2")  # as NumPy saves it; the name would need ml_dtypes
        else:
            try:
                made = make_dtype(dtype)
            except ValueError as error:
                raise ValueError(
                    f"dtype must be what np.dtype takes, got {shown(dtype)}"
                ) from error
        if made.hasobject:
            raise TypeError(f"dtype {made} holds Python objects, which no file of raw data can")
        if not has_header(made):
            raise ValueError(
                f"dtype {made} has fields that overlap, or are not in the order of their offsets: "
                "list those that you need in that order"
            )
        if made.name == "bfloat16":
            made = np.dtype("V2")
        dims = make_shape("shape", (-1,) if shape is None else shape)
        if not dims or -1 in dims[1:]:
            raise ValueError(
                f"shape may have -1 as its first entry only, for the rows, got {shown(shape)}"
            )
        made, dims = made.base, dims + made.shape
        items = math.prod(n for n in dims if n > 0)
        if items * max(made.itemsize, 1) >= 2**63:
            raise ValueError(f"shape {dims} of {made} is larger than any file")
        if dims[0] < 0 and math.prod(dims[1:]) * made.itemsize == 0:
            raise ValueError(f"a row of {made} {dims[1:]} takes no bytes: write the number of rows")
        try:
            start = -1 if isinstance(offset, bool) else operator.index(offset)
        except TypeError:
            start = -1
        if not 0 <= start < 2**63:
            raise ValueError(f"offset must be an int of at least 0, in bytes, got {shown(offset)}")
        return Layout(made, dims, start)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def locate(path: str, layout: Layout) -> LocatedHeader:
    """Where the array of a raw file lies.

    Raises ValueError if its size does not divide into rows or it is not a raw file, NpyFormatError
    if it is too short for the given number of rows, OSError if its size is unknown.
    """
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        found = format_of_descriptor(file.fileno())
        _refuse_unknown_size(path, file.fileno(), status.st_size)
    if found != UNKNOWN:
        raise ValueError(printable(f"{path}: is {found}: omit dtype, shape and offset"))
    return LocatedHeader(_header(path, layout, status.st_size), status)


def _refuse_unknown_size(path: str, descriptor: int, size: int) -> None:
    """Raises OSError for files that the kernel generates when they are read, as in /proc and /sys:
    their size means nothing."""
    last = os.pread(descriptor, 1, size - 1) if size else b"-"
    if not last or (not size and os.pread(descriptor, 1, 0)):
        raise OSError(
            errno.EINVAL,
            f"does not hold the {size:,} bytes that the system reports: copy it into a file",
            path,
        )


def _header(path: str, layout: Layout, size: int) -> Header:
    held = max(0, size - layout.offset)
    row = f"rows of {layout.row_bytes:,} bytes, {layout.shape[1:]} {layout.dtype}"
    rows = layout.shape[0]
    if rows < 0:
        rows, rest = divmod(held, layout.row_bytes)
        if rest or layout.offset > size:
            raise ValueError(
                printable(
                    f"{path}: has {size:,} bytes, from offset {layout.offset:,} on {held:,}, "
                    "which is "
                    f"no whole number of {row}: {rest:,} are left over"
                    if layout.offset <= size
                    else f"{path}: has {size:,} bytes, fewer than offset={layout.offset:,}"
                )
            )
    elif rows * layout.row_bytes > held:
        raise NpyFormatError(
            f"{path}: has {size:,} bytes, from offset {layout.offset:,} on {held:,}, but "
            f"{rows:,} {row} take {rows * layout.row_bytes:,}"
        )
    return Header((0, 0), (rows, *layout.shape[1:]), layout.dtype, False, layout.offset)
