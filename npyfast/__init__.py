"""Feeds NumPy arrays stored in .npy files to a training loop, in shuffled batches.

import npyfast

ds = npyfast.dataset(("X.npy", "y.npy"), batch_size=32, shuffle=True)
model.fit(ds, epochs=10)
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from npyfast._backends import backend as _backend
from npyfast._backends.header import Header
from npyfast._batches.batches import Batches, batches
from npyfast._batches.description import describe
from npyfast._batches.iterator import BatchIterator
from npyfast._batches.moments import Moments, moments
from npyfast._batches.statistics import Statistics, statistics
from npyfast._engines.dataset import dataset
from npyfast._errors import NpyFormatError
from npyfast._order.selection import RowSelection
from npyfast._order.shuffle import BlockShuffle
from npyfast._packing.pack import pack
from npyfast._rows import Rows
from npyfast._rows import open_rows as open
from npyfast._sources.array_like import ArrayLike
from npyfast._sources.labeled import Labeled, labeled
from npyfast._sources.source import Source, source
from npyfast._sources.split import split

if TYPE_CHECKING:
    from npyfast._callbacks.set_epoch import SetEpoch
    from npyfast._data_wait.data_wait import DataWait
    from npyfast._keras.keras_dataset import keras_dataset
    from npyfast._torch.dataset import torch_dataset

__version__ = "0.1.0"

__all__ = [
    "ArrayLike",
    "BatchIterator",
    "Batches",
    "BlockShuffle",
    "DataWait",
    "Header",
    "Labeled",
    "Moments",
    "NpyFormatError",
    "RowSelection",
    "Rows",
    "SetEpoch",
    "Source",
    "Statistics",
    "backend",
    "batches",
    "build_info",
    "dataset",
    "describe",
    "keras_dataset",
    "labeled",
    "moments",
    "open",
    "pack",
    "read_header",
    "source",
    "split",
    "statistics",
    "torch_dataset",
]

backend: str = _backend().NAME

# Names for one kind of training loop, whose modules are imported when they are first asked for.
_LATE = {
    "DataWait": "npyfast._data_wait.data_wait",
    "SetEpoch": "npyfast._callbacks.set_epoch",
    "keras_dataset": "npyfast._keras.keras_dataset",
    "torch_dataset": "npyfast._torch.dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(_LATE[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads the header of a `.npy` file, and nothing else of it.

    Args:
        path: the file.

    Returns:
        `Header`: version, shape, dtype (of the file, in its byte order), fortran_order, and
        data_offset in bytes.

    Raises:
        NpyFormatError: not a `.npy` file, an unknown version, a malformed header, or a file that
            is shorter than its header promises.
        OSError: as `open` raises it.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.zeros((60, 28, 28), np.uint8))
        >>> npyfast.read_header("X.npy").shape
        (60, 28, 28)
    """
    return _backend().read_header(os.fspath(path))


def build_info() -> dict[str, Any]:
    """Describes this installation: what is in use, and why.

    Returns:
        A dict: version; backend ("native" or "numpy") and backend_reason; engine and
        engine_reason; order_version and block_order_version; and, if the extension can be
        imported, its compiler, flags, build_type, the usable_cpus, and direct_reads: how data
        larger than memory is read ("io_uring", "aio", "threads" or "off").

    Raises:
        ValueError: the environment variable NPYFAST_DIRECT_READS has an unknown value.
    """
    from npyfast._build import build_info as info

    return info(__version__)
