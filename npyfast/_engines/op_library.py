"""The library of TensorFlow ops: loading it, and what it offers besides ops."""

from __future__ import annotations

import ctypes
import functools
import os
import secrets
import weakref
from pathlib import Path
from types import ModuleType
from typing import cast

from npyfast._backends.interface import Counts
from npyfast._engines import iteration_count
from npyfast._engines.tensors import import_tensorflow

LIBRARY = str(Path(__file__).resolve().parents[1] / "_tensorflow.so")


def not_installed() -> str | None:
    """Why there is no library, if there is none."""
    if os.path.exists(LIBRARY):
        return None
    return f"npyfast was installed without {os.path.basename(LIBRARY)}"


def load_error() -> str | None:
    """Why the ops cannot be loaded into this process, if they cannot."""
    return _load()[1]


def load() -> ModuleType:
    """The module of the ops. Raises ImportError if they cannot be loaded."""
    ops, error = _load()
    if ops is None:
        raise ImportError(f"the graph engine is not available: {error}")
    return ops


@functools.cache
def _load() -> tuple[ModuleType | None, str | None]:
    """The module of the ops, or why there is none."""
    absent = not_installed()
    if absent is not None:
        return None, absent
    tf = import_tensorflow()
    try:
        ops = tf.load_op_library(LIBRARY)
        refusal = library_text("npyfast_tensorflow_error")
    except (tf.errors.OpError, RuntimeError, OSError, AttributeError) as error:
        return None, f"TensorFlow {tf.__version__} can't load {LIBRARY}: {error}"
    if refusal:
        return None, f"TensorFlow {tf.__version__} does not accept its ops: {refusal}"
    if not iteration_count.can_count(ops):
        return None, f"TensorFlow {tf.__version__} draws random numbers that can't count iterations"
    return cast(ModuleType, ops), None


def library_text(function: str) -> str:
    """The text that a function of the library returns."""
    text = getattr(ctypes.CDLL(LIBRARY), function)
    text.restype = ctypes.c_char_p
    return str(text().decode())


class OpCounters:
    """Counters of the ops of one dataset in this process.

    The ops find them by the attribute `number` while this object exists, and keep them as long as
    they need them. The number is random, so that an op that was sent to another process does not
    count for a dataset of that process.
    """

    def __init__(self) -> None:
        self.number = secrets.randbits(62)
        number = ctypes.c_int64(self.number)
        library = ctypes.CDLL(LIBRARY)
        if not library.npyfast_open_statistics(number):
            raise MemoryError
        weakref.finalize(self, library.npyfast_close_statistics, number).atexit = False

    def counters(self) -> Counts:
        values = (ctypes.c_int64 * len(Counts._fields))()
        ctypes.CDLL(LIBRARY).npyfast_read_statistics(ctypes.c_int64(self.number), values)
        return Counts(*values)
