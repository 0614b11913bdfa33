"""The header of a ``.npy`` file, read by NumPy or by the native core.

Both parsers accept the same files and return the same Header for them. ``parse_header_numpy`` is
the specification: ``numpy.lib.format`` does the work, and whatever it accepts although
``numpy.load`` cannot read it is refused here.
"""

from __future__ import annotations

import errno
import io
import math
import os
import re
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from npyfast._errors import NpyFormatError

# The prefix, and NumPy's limit of 10,000 characters, of up to four bytes each.
MAX_HEADER_BYTES = 12 + 4 * 10_000

_MAX_DIMENSIONS = 64

# The fields of a Header, in their order.
_Parsed = tuple[tuple[int, int], tuple[int, ...], "np.dtype[Any]", bool, int]

# The divisor of a unit of time, as in "<M8[s/10]".
_DIVISOR = re.compile(rb"/\s*[+-]?(\d+)\]")


@dataclass(frozen=True)
class Header:
    """What the header of a ``.npy`` file says about its array.

    ``version`` is the version of the file format, ``(major, minor)``. ``shape`` and ``dtype`` are
    those of the array. Its items start at byte ``data_offset``, in Fortran order (the first axis
    fastest) if ``fortran_order``, in C order otherwise.

    >>> header = Header((1, 0), (60000, 28, 28), np.dtype("uint8"), False, 128)
    >>> header.nbytes
    47040000
    """

    version: tuple[int, int]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    data_offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data, without the header."""
        return math.prod(self.shape) * self.dtype.itemsize


class LocatedHeader(NamedTuple):
    """The header of an array, and the state of the file that holds the data."""

    header: Header
    status: os.stat_result  # from the descriptor that the header was read from


def header_bytes(header: Header) -> bytes:
    """A header as the bytes of a version 3 ``.npy`` file, which do not include ``data_offset``.

    Raises ValueError if no header can express the dtype, because fields overlap.
    """
    with warnings.catch_warnings():
        # Losing the metadata of a dtype is expected.
        warnings.simplefilter("ignore")
        descr = npy_format.dtype_to_descr(header.dtype)
    said = {"descr": descr, "fortran_order": header.fortran_order, "shape": header.shape}
    text = repr(said).encode()
    return npy_format.magic(3, 0) + len(text).to_bytes(4, "little") + text


def look_at_header_numpy(path: str | os.PathLike[str]) -> LocatedHeader:
    """Read a header as ``numpy.load`` does, and the state of the file before it was read.

    Raises NpyFormatError, and OSError from opening and reading. A dtype of Python objects is no
    error here.
    """
    return look_at_header(path, parse_header_numpy)


def make_dtype(given: Any) -> np.dtype[Any]:
    """The dtype that a user names. Raises ValueError if it is not one."""
    try:
        if isinstance(given, (str, list, dict)) and _divides_by_zero(repr(given).encode()):
            raise ValueError("the unit of a date is divided by zero")
        dtype: np.dtype[Any] = np.dtype(given)
    except (TypeError, ValueError, SyntaxError) as error:
        raise ValueError(str(error)) from error
    return dtype


def _divides_by_zero(text: bytes) -> bool:
    """Whether NumPy would divide by zero for the unit of a date, which ends the process."""
    return any(int(divisor) % 2**32 == 0 for divisor in _DIVISOR.findall(text))


def parse_header_numpy(data: bytes) -> _Parsed:
    """Parse the first bytes of a file, at least up to its data; return the fields of a Header.

    Raises NpyFormatError, which names no file.
    """
    buffer = io.BytesIO(data)
    try:
        if _divides_by_zero(_text(data)):
            raise ValueError("the unit of a date is divided by zero")
        with warnings.catch_warnings():
            # A file written by Python 2, or an old spelling of a dtype, needs no warning here.
            warnings.simplefilter("ignore")
            version = npy_format.read_magic(buffer)
            shape, fortran_order, dtype = _numpy_reader()(buffer, version)
        _check_array(shape, dtype)
    except Exception as error:  # NumPy lets a dozen kinds through, tokenize.TokenError among them
        raise NpyFormatError(str(error)) from error
    return version, shape, dtype, fortran_order, buffer.tell()


def check_size(path: str | os.PathLike[str], header: Header, size: int) -> None:
    """Raise NpyFormatError if a file of ``size`` bytes is shorter than its header promises."""
    if header.dtype.hasobject:
        return  # the data is a pickle of any size
    held = max(size - header.data_offset, 0)
    if held < header.nbytes:
        raise NpyFormatError(
            f"{os.fspath(path)}: holds {held:,} bytes of data, its header promises "
            f"{header.nbytes:,} {header.shape} {header.dtype}: the file is truncated; copy it again"
        )


def look_at_header(
    path: str | os.PathLike[str], parse: Callable[[bytes], _Parsed]
) -> LocatedHeader:
    """Read a header with a parser: NumPy's or the core's. Raises as ``look_at_header_numpy``."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a directory is refused by open()
        # Opening a pipe would wait for its writer.
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), os.fspath(path))
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        start = file.read(MAX_HEADER_BYTES)
    try:
        header = Header(*parse(start))
    except NpyFormatError as error:
        raise NpyFormatError(f"{os.fspath(path)}: not a readable .npy file: {error}") from error
    check_size(path, header, status.st_size)
    return LocatedHeader(header, status)


def refuse_objects(name: str, dtype: np.dtype[Any]) -> None:
    """Raise TypeError, which calls the array by its name, for a dtype that holds Python objects."""
    if dtype.hasobject:
        raise TypeError(
            f"{name}: holds Python objects (dtype object), which npyfast never unpickles; "
            "save the array with a numeric or fixed-length string dtype"
        )


def _text(data: bytes) -> bytes:
    """The header's text, which may be any bytes: from the length field to the data."""
    start = 10 if data[6:7] == b"\x01" else 12
    return data[start : start + int.from_bytes(data[8:start], "little")]


def _numpy_reader() -> Any:
    """NumPy's reader of all three versions; the public ones know only two."""
    try:
        from numpy.lib import _format_impl
    except ImportError:  # before NumPy 2.3
        return npy_format._read_array_header  # type: ignore[attr-defined]
    return _format_impl._read_array_header  # type: ignore[attr-defined]


def _check_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse headers that NumPy accepts and then fails on."""
    if dtype.subdtype is not None:
        raise ValueError("'descr' is a sub-array; its dimensions belong into 'shape'")
    if any(isinstance(n, bool) for n in shape):
        raise ValueError(f"an entry of the shape {shape} is no int")
    if any(n < 0 for n in shape):
        raise ValueError(f"an entry of the shape {shape} is negative")
    if len(shape) > _MAX_DIMENSIONS:
        raise ValueError(
            f"the shape has {len(shape)} dimensions, more than the {_MAX_DIMENSIONS} that NumPy has"
        )
    # A zero makes the array empty, but NumPy limits the other dimensions all the same.
    elements = math.prod(n for n in shape if n)
    if max(elements, elements * dtype.itemsize, *shape, 0) >= 2**63:
        raise ValueError("the shape is larger than any array: it takes 2**63 bytes or more")
    if not _is_sound(dtype):
        raise ValueError("an item of the dtype takes 2 GiB or more")


def _is_sound(dtype: np.dtype[Any]) -> bool:
    """Whether every field lies within its item, which NumPy does not always check."""
    return all(
        0 <= offset <= dtype.itemsize - field.itemsize and _is_sound(field.base)
        for field, offset, *_ in (dtype.fields or {}).values()
    )
