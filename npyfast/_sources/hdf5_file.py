"""HDF5 files as h5py opens them, with errors that name the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from npyfast._errors import NpyFormatError, printable
from npyfast._sources.formats import list_keys, open_file


def load_h5py() -> Any:
    """The package h5py. Raises ImportError that says how to install it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("HDF5 files need h5py: pip install 'npyfast[hdf5]'") from error
    return h5py


def open_hdf5(path: str, *, readable: bool = False) -> Any:
    """Opens a file for reading, by h5py. `readable`: the caller has opened it before.

    Raises NpyFormatError if it is not an HDF5 file, and OSError as `open` does, or if this process
    has the file open for writing: some of what was written may exist in HDF5's memory only.
    """
    h5py = load_h5py()
    if not readable:
        open_file(path).close()  # h5py's errors name no file
    try:
        # On a filesystem without locks, reading is fine without one.
        file = h5py.File(path, "r", locking="best-effort")
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        if number is not None:  # another program writes it, or the disk fails
            raise OSError(number, str(error), path) from error
        raise NpyFormatError(f"{path}: not a readable HDF5 file: {error}") from error
    if file.id.get_intent() & h5py.h5f.ACC_RDWR:
        file.close()
        raise OSError(errno.EBUSY, "this process has it open for writing: close it first", path)
    return file


def status_of(file: Any, path: str) -> os.stat_result:
    """The state of an open file, from the descriptor that HDF5 reads."""
    try:
        descriptor = file.id.get_vfd_handle()
    except (NotImplementedError, RuntimeError, ValueError):  # of a driver that has none
        return os.stat(path)
    return os.fstat(descriptor)


@contextmanager
def _whole(group: Any) -> Iterator[None]:
    """Turns what h5py raises for unreadable objects into NpyFormatError that names the file."""
    try:
        yield
    except (KeyError, RuntimeError, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the disk, not the data
        reason = error.args[0] if error.args else error
        raise NpyFormatError(f"{group.file.filename}: is damaged: {reason}") from error


def keys_of(group: Any) -> list[str]:
    """The paths of all datasets in a group, relative to it."""
    h5py = load_h5py()
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name)

    with _whole(group):
        group.visititems(visit)
    return found


def dataset_or_none(file: Any, key: str) -> Any:
    """The dataset `key` of an open file; None if there is no such dataset."""
    with _whole(file):
        item = file.get(key)
    return item if isinstance(item, load_h5py().Dataset) else None


def find_dataset(file: Any, path: str, key: str) -> Any:
    """The dataset `key` of an open file. Raises ValueError that lists the datasets there are."""
    h5py = load_h5py()
    with _whole(file):
        item = file.get(key) if key else file
    if isinstance(item, h5py.Dataset):
        return item
    if isinstance(item, h5py.Group):
        below = [f"{key.rstrip('/')}/{name}".lstrip("/") for name in keys_of(item)]
        raise ValueError(
            printable(
                f"{path}: {key!r} is a group, not an array; the arrays in it are {list_keys(below)}"
            )
        )
    raise ValueError(printable(f"{path}: has no array {key!r}; it has {list_keys(keys_of(file))}"))
