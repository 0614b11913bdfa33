"""What is known of an HDF5 dataset: where its data is, and whether it can be mapped."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from npyfast._backends.file_status import FileState, WatchedFile, absolute_path
from npyfast._backends.header import Header, LocatedHeader, check_size
from npyfast._sources.formats import has_header, member_name, pack_command
from npyfast._sources.hdf5_file import load_h5py, status_of
from npyfast._sources.hdf5_sources import source_files
from npyfast._warnings import warn


class HDF5Dataset:
    """What is known of a dataset. Does not keep its file open."""

    def __init__(self, path: str, key: str, dataset: Any, status: os.stat_result) -> None:
        self.path = path
        self.key = key
        self.name = member_name(path, key)
        if dataset.shape is None:
            raise ValueError(f"{self.name}: is an HDF5 dataset without a dataspace: it has no rows")
        if dataset.shape == ():
            raise ValueError(f"{self.name}: holds a 0-dimensional array, which has no rows")
        try:
            dtype = dataset.dtype
        except TypeError as error:
            raise TypeError(
                f"{self.name}: has an HDF5 type that NumPy lacks ({error}): save it with another"
            ) from error
        if dtype.hasobject:
            raise TypeError(
                f"{self.name}: holds items of variable length, or references (HDF5 type "
                f"{_kind(dtype)}), which have no fixed size: save it with a "
                "numeric or fixed-length string dtype"
            )
        # Array items add dimensions, as in NumPy.
        self.dtype = plain_dtype(dtype).base
        self.shape: tuple[int, ...] = dataset.shape + dtype.shape
        self.chunks: tuple[int, ...] | None = dataset.chunks
        self.chunk_rows: int | None = dataset.chunks[0] if dataset.chunks else None
        self.compression: str | None = dataset.compression
        self.obstacle = _obstacle(path, dataset)
        self.located: LocatedHeader | None = None
        self.file = WatchedFile(path, FileState.of(status))
        self.others: list[WatchedFile] = []  # other files that hold data of it
        if self.obstacle is None:
            offset = dataset.id.get_offset() if dataset.size else 0
            header = Header((0, 0), self.shape, self.dtype, False, offset)
            if dataset.size:
                check_size(self.name, header, status.st_size)
            self.located = LocatedHeader(header, status)
        else:
            self.others = source_files(path, key, dataset)
            if not os.path.samefile(dataset.file.filename, path):
                there = dataset.file.filename
                state = FileState.of(status_of(dataset.file, there))
                self.others.append(WatchedFile(there, state, kept_open=False))

    def check_files(self) -> None:
        """Raises as npyfast._backends.interface.OpenedLeaf.check_files()."""
        self.file.check_unchanged()
        for other in self.others:
            other.check_unchanged()

    def warn(self) -> None:
        """Warns once for each dataset that it is slow, and says what helps."""
        one = (absolute_path(self.path), self.key)  # another directory has another "a.h5"
        if self.obstacle is None or one in _warned:
            return
        _warned.add(one)
        advice = "save it with the fields in the order of their offsets"
        if has_header(self.dtype):
            advice = f"write it into a plain file once, by `{pack_command(self.path, self.key)}`"
            advice += (
                ", or, if it fits in memory, pass the array that h5py makes of it, file[key][:]"
            )
        warn(
            f"{self.name}: {self.obstacle}, so h5py reads it, at its own speed: {advice}",
            RuntimeWarning,
        )


_warned: set[tuple[str, str]] = set()


def _obstacle(path: str, dataset: Any) -> str | None:
    """Why the rows of a dataset cannot be mapped from this file; None if they can."""
    h5py = load_h5py()
    if not os.path.samefile(dataset.file.filename, path):
        return "is stored in another file, through an external link"
    layout = dataset.id.get_create_plist()
    compression = f" and compressed ({dataset.compression})" if dataset.compression else ""
    if dataset.chunks is not None:
        return f"is chunked{compression}"
    if dataset.is_virtual:
        return "is virtual: its data is stored in other datasets"
    if layout.get_external_count():
        return "is external: its data is stored in another file"
    if dataset.size == 0:
        return None
    if layout.get_layout() != h5py.h5d.CONTIGUOUS:
        return "is compact: its data is stored in the file's metadata"
    if dataset.id.get_offset() is None:
        return "was never written, and has no place in its file"
    if not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True)):
        return f"has an HDF5 type that is converted to {dataset.dtype}"
    if not has_header(plain_dtype(dataset.dtype).base):
        return "has fields that are not in the order of their offsets"
    return None


def _kind(dtype: np.dtype[Any]) -> str:
    h5py = load_h5py()
    if h5py.check_string_dtype(dtype) is not None:
        return "string of variable length"
    if h5py.check_vlen_dtype(dtype) is not None:
        return "sequence of variable length"
    if h5py.check_ref_dtype(dtype) is not None:
        return "reference"
    return "compound of these"


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype without the metadata that h5py adds for HDF5's own types."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((plain_dtype(base), shape))
    if dtype.names is None:
        return np.dtype(dtype.str)
    fields = [dtype.fields[name] for name in dtype.names] if dtype.fields else []
    return np.dtype(
        {
            "names": list(dtype.names),
            "formats": [plain_dtype(field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
        }
    )
