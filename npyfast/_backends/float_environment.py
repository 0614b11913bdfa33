"""The default floating-point environment, for threads that changed theirs."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager

_LARGEST = 64  # bytes: no fenv_t of a C library is larger
_DEFAULT = ctypes.c_void_p(-1)  # FE_DFL_ENV of glibc and musl


@functools.cache
def _library() -> ctypes.PyDLL | None:
    """The C library with functions for the environment; None if there is none."""
    return _loaded(None) or _loaded("libm.so.6")


def _loaded(name: str | None) -> ctypes.PyDLL | None:
    try:
        library = ctypes.PyDLL(name)
        return library if library.fegetenv and library.fesetenv else None
    except (AttributeError, OSError):
        return None


@contextmanager
def default_float_environment() -> Iterator[None]:
    """Inside, this thread rounds to nearest and keeps denormals.

    TensorFlow's threads flush denormals to zero, and so does Python code that runs in them.
    """
    library = _library()
    if library is None:
        yield
        return
    before = ctypes.create_string_buffer(_LARGEST)
    library.fegetenv(before)
    library.fesetenv(_DEFAULT)
    try:
        yield
    finally:
        library.fesetenv(before)
