"""A pytest plugin for NumPy's own test suite: keeps all that its tests write and read as .npy.

Each file, stream or header that numpy.lib.format writes, or is given to read, is put into the
folder `NPYFAST_TEST_CAPTURES`, named by its content: `.npy` files, `.npz` archives, and `.header`
for what a reader of headers alone was given.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(os.environ["NPYFAST_TEST_CAPTURES"])

# Of the tests of files beyond 4 GiB.
LARGEST = 1 << 24


def keep(content: bytes, suffix: str = ".npy") -> None:
    """Keeps a file, unless there is the same."""
    if content[:2] == b"PK":
        suffix = ".npz"
    path = FOLDER / (hashlib.sha256(content).hexdigest() + suffix)
    if len(content) <= LARGEST and not path.exists():
        path.write_bytes(content)


def rest(stream: Any) -> bytes | None:
    """What a stream has yet to give, without taking it; None where that can't be had."""
    if isinstance(stream, io.BytesIO):
        return stream.getvalue()[stream.tell() :]
    try:
        place = stream.tell()
        content: bytes = stream.read(LARGEST + 1)
        stream.seek(place)
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return None
    return content


def keep_rest(stream: Any, prefix: bytes = b"", suffix: str = ".npy") -> None:
    content = rest(stream)
    if content is not None:
        keep(prefix + content, suffix)


def keep_file(file: Any) -> None:
    """Keeps what a file has, given by its path or open."""
    if hasattr(file, "read"):
        keep_rest(file)
    elif os.path.isfile(file):
        with open(file, "rb") as opened:
            keep_rest(opened)


def before(keep_input: Callable[[Any], None]) -> Any:
    """A decorator: what the function is given first is kept before the call."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def call(file: Any, *args: Any, **kwargs: Any) -> Any:
            keep_input(file)
            return function(file, *args, **kwargs)

        return call

    return decorate


def keep_written(suffix: str) -> Any:
    """A decorator: what the function writes to a stream is kept."""

    def decorate(write: Any) -> Any:
        @functools.wraps(write)
        def call(stream: Any, *args: Any, **kwargs: Any) -> Any:
            written = write(stream, *args, **kwargs)
            # Once more, as not every stream can be read.
            copy = io.BytesIO()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                write(copy, *args, **kwargs)
            keep(copy.getvalue(), suffix)
            return written

        return call

    return decorate


def keep_archive(savez: Any) -> Any:
    @functools.wraps(savez)
    def call(file: Any, *args: Any, **kwargs: Any) -> Any:
        saved = savez(file, *args, **kwargs)
        if isinstance(file, (str, os.PathLike)):
            path = os.fspath(file)
            keep_file(path if path.endswith(".npz") else path + ".npz")
        elif isinstance(file, io.BytesIO):
            keep(file.getvalue())
        return saved

    return call


def of_version(major: int) -> Any:
    """Keeps what a reader of headers of this version is given, which begins behind the version."""
    magic = b"\x93NUMPY" + bytes([major, 0])
    return before(lambda stream: keep_rest(stream, magic, ".header"))


CAPTURES = {
    "write_array": keep_written(".npy"),
    "read_array": before(keep_rest),
    "read_magic": before(keep_rest),
    "write_array_header_1_0": keep_written(".header"),
    "write_array_header_2_0": keep_written(".header"),
    "read_array_header_1_0": of_version(1),
    "read_array_header_2_0": of_version(2),
    "open_memmap": before(keep_file),
}

for name in ("numpy.lib.format", "numpy.lib._format_impl"):
    try:
        module: Any = importlib.import_module(name)
    except ImportError:  # the latter, before NumPy 2.3
        continue
    for function, capture in CAPTURES.items():
        setattr(module, function, capture(getattr(module, function)))

np.load = before(keep_file)(np.load)
saving: Any = importlib.import_module(
    "numpy.lib._npyio_impl" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.lib.npyio"
)
saving._savez = keep_archive(saving._savez)
