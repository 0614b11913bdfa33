"""The headers of files that `npyfast.pack` writes, which every reader must accept."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np
import numpy.lib.format as npy_format

from npyfast._backends import backend
from npyfast._backends.header import parse_header_numpy
from npyfast._errors import NpyFormatError

_WAY_OUT = "convert the array, for example with numpy.lib.recfunctions.repack_fields"


def descr_of(dtype: np.dtype[Any]) -> object:
    """The header's description of a dtype. Raises TypeError for the few that NumPy cannot save."""
    try:
        with warnings.catch_warnings():
            # Metadata is not saved.
            warnings.simplefilter("ignore", UserWarning)
            return npy_format.dtype_to_descr(dtype)
    except ValueError as error:
        raise _unsaved(dtype, str(error)) from None


def header_text(descr: object, shape: tuple[int, ...]) -> bytes:
    """The header of an array in C order, as NumPy writes it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # NumPy before 1.17 cannot read field names that are not Latin 1.
        warnings.simplefilter("ignore", UserWarning)
        said = {"descr": descr, "fortran_order": False, "shape": shape}
        _numpy_writer()(buffer, said)
    return buffer.getvalue()


def refuse_unreadable(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raises TypeError if `np.load` with its default options, or npyfast, could not read the array
    back from its file, or would read another one."""
    descr = descr_of(dtype)
    try:
        header = header_text(descr, shape)
        for _, found, stored, *_ in (parse_header_numpy(header), _by_backend(header)):
            if found != shape or not _is_same(stored, dtype):
                raise ValueError(f"it would be read as {found} {stored}")
        # Too many dimensions for this NumPy or, before 2.0, items of no bytes.
        npy_format.read_array(io.BytesIO(header_text(descr, (0, *shape[1:]))), allow_pickle=False)
        if dtype.itemsize == 0:
            np.fromfile(os.devnull, dtype, 0)
    except (NpyFormatError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise _unsaved(dtype, reason) from None


def _by_backend(header: bytes) -> tuple[tuple[int, int], tuple[int, ...], np.dtype[Any]]:
    parsed = backend().parse_header(header)
    return parsed.version, parsed.shape, parsed.dtype


def _is_same(stored: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is saved as itself or, if it belongs to another package, as plain bytes."""
    if dtype.subdtype is not None and stored.subdtype is not None:
        (mine, shape), (other, others) = dtype.subdtype, stored.subdtype
        return shape == others and _is_same(other, mine)
    if dtype.names is not None and dtype.fields is not None and stored.fields is not None:
        "".join(dtype.names).encode()  # raises for half of a surrogate pair
        pairs = [(stored.fields.get(name), dtype.fields[name]) for name in dtype.names]
        return (stored.names, stored.itemsize) == (dtype.names, dtype.itemsize) and all(
            other is not None and other[1:] == mine[1:] and _is_same(other[0], mine[0])
            for other, mine in pairs
        )
    if dtype.isbuiltin == 2 or dtype.type.__module__ != "numpy":
        return stored.kind == "V" and stored.itemsize == dtype.itemsize
    return stored == dtype


def _unsaved(dtype: np.dtype[Any], reason: str) -> TypeError:
    text = str(dtype)
    text = text if len(text) < 200 else f"{text[:200]}..."
    return TypeError(f"a .npy file cannot hold the dtype {text} ({reason}); {_WAY_OUT}")


def _numpy_writer() -> Any:
    """NumPy's header writer that chooses the version; the public ones take it as an argument."""
    try:
        from numpy.lib import _format_impl
    except ImportError:  # before NumPy 2.3
        return npy_format._write_array_header  # type: ignore[attr-defined]
    return _format_impl._write_array_header  # type: ignore[attr-defined]
