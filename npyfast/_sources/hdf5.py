"""HDF5 files, by h5py: where datasets lie, and the rows of those that can't be mapped."""

from __future__ import annotations

import errno
import os
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from npyfast._backends import backend
from npyfast._backends.cast import Cast
from npyfast._backends.converted import Converted
from npyfast._backends.fields import AnyArray, native, to_native
from npyfast._backends.file_status import FileState, WatchedFile
from npyfast._backends.header import Header, LocatedHeader, check_size
from npyfast._backends.interface import OpenedLeaf, Storage
from npyfast._errors import NpyFormatError, printable
from npyfast._order.plan import RowNumbers, resolve_rows
from npyfast._sources import hdf5_sources
from npyfast._sources.formats import (
    has_header,
    list_keys,
    member_name,
    open_file,
    pack_command,
)


def keys(path: str) -> list[str]:
    """The paths of all datasets in a file."""
    with open_hdf5(path) as file:
        return _keys(file)


def open(files: Sequence[str], key: str) -> OpenedLeaf:
    """The rows of a dataset, or of one in each of several files, which are concatenated.

    Mapped where all of them lie in their files as they are; else read by h5py, with a warning.
    Raises ImportError without h5py, NpyFormatError for what is no HDF5 file, ValueError for a key
    that is no dataset and for files that do not fit together, TypeError for Python objects.
    """
    found = [look(path, key) for path in files]
    first = found[0]
    for dataset in found[1:]:
        for what, mine, others in (
            ("dtype", dataset.dtype, first.dtype),
            ("row shape", dataset.shape[1:], first.shape[1:]),
        ):
            if mine != others:
                raise ValueError(
                    f"the files of one array must have one {what}: {first.name} has {others}, "
                    f"{dataset.name} has {mine}"
                )
    located = [dataset.located for dataset in found if dataset.located is not None]
    if len(located) == len(found):
        return backend().open(files, located)
    for dataset in found:
        dataset.warn()
    return HDF5Leaf(found)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("HDF5 files need h5py: pip install 'npyfast[hdf5]'") from error
    return h5py


def open_hdf5(path: str) -> Any:
    """A file for reading, by h5py. Raises NpyFormatError for what is no HDF5 file; OSError, too
    where this process has it open for writing: what it has written may be in HDF5's memory only,
    and what it will write would come out between the rows of now."""
    h5py = _h5py()
    open_file(path).close()  # h5py's errors name no file
    try:
        # Where a filesystem has no locks, reading is fine all the same.
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
    """The state of an open file, by the very descriptor that HDF5 reads."""
    try:
        descriptor = file.id.get_vfd_handle()
    except (NotImplementedError, RuntimeError, ValueError):  # of a driver that has none
        return os.stat(path)
    return os.fstat(descriptor)


@contextmanager
def _whole(group: Any) -> Iterator[None]:
    """What h5py raises inside, of objects that can't be read, names the file."""
    try:
        yield
    except (KeyError, RuntimeError, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the disk, not the data
        reason = error.args[0] if error.args else error
        raise NpyFormatError(f"{group.file.filename}: is damaged: {reason}") from error


def _keys(group: Any) -> list[str]:
    h5py = _h5py()
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name)

    with _whole(group):
        group.visititems(visit)
    return found


def dataset_or_none(file: Any, key: str) -> Any:
    """A dataset of an open file; None for what is none."""
    with _whole(file):
        item = file.get(key)
    return item if isinstance(item, _h5py().Dataset) else None


def _dataset(file: Any, path: str, key: str) -> Any:
    h5py = _h5py()
    with _whole(file):
        item = file.get(key) if key else file
    if isinstance(item, h5py.Dataset):
        return item
    if isinstance(item, h5py.Group):
        below = [f"{key.rstrip('/')}/{name}".lstrip("/") for name in _keys(item)]
        raise ValueError(
            printable(
                f"{path}: {key!r} is a group, not an array; the arrays in it are {list_keys(below)}"
            )
        )
    raise ValueError(printable(f"{path}: has no array {key!r}; it has {list_keys(_keys(file))}"))


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype without what h5py notes in it about HDF5's own types."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_plain(base), shape))
    if dtype.names is None:
        return np.dtype(dtype.str)
    fields = [dtype.fields[name] for name in dtype.names] if dtype.fields else []
    return np.dtype(
        {
            "names": list(dtype.names),
            "formats": [_plain(field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
        }
    )


class _Dataset:
    """What there is to know of a dataset without keeping its file open."""

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
                f"{self.name}: has an HDF5 type that NumPy has not ({error}): save it with another"
            ) from error
        if dtype.hasobject:
            raise TypeError(
                f"{self.name}: holds items of variable length, or references (HDF5 type "
                f"{_kind(dtype)}), which are no array of fixed size: save it with a "
                "numeric or fixed-length string dtype"
            )
        # Items that are arrays are dimensions more, as they are for NumPy.
        self.dtype = _plain(dtype).base
        self.shape: tuple[int, ...] = dataset.shape + dtype.shape
        self.chunks: tuple[int, ...] | None = dataset.chunks
        self.chunk_rows: int | None = dataset.chunks[0] if dataset.chunks else None
        self.compression: str | None = dataset.compression
        self.obstacle = _obstacle(path, dataset)
        self.located: LocatedHeader | None = None
        self.file = WatchedFile(path, FileState.of(status))
        self.others: list[WatchedFile] = []  # that it has data in
        if self.obstacle is None:
            offset = dataset.id.get_offset() if dataset.size else 0
            header = Header((0, 0), self.shape, self.dtype, False, offset)
            if dataset.size:
                check_size(self.name, header, status.st_size)
            self.located = LocatedHeader(header, status)
        else:
            self.others = hdf5_sources.source_files(path, key, dataset)
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
        """Says once, for each dataset, that it is slow, and what helps."""
        if self.obstacle is None or (self.path, self.key) in _warned:
            return
        _warned.add((self.path, self.key))
        advice = "save it with the fields in the order of their offsets"
        if has_header(self.dtype):
            advice = f"write it into a plain file once, by `{pack_command(self.path, self.key)}`"
        warnings.warn(
            f"{self.name}: {self.obstacle}, so that h5py reads it, at its own speed: {advice}",
            RuntimeWarning,
            stacklevel=_levels_to_caller(),
        )


_warned: set[tuple[str, str]] = set()


def _levels_to_caller() -> int:
    """The stacklevel of the line outside this package that led here."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
        level += 1
    return level


def look(path: str, key: str) -> _Dataset:
    """What there is to know of a dataset. Raises as open() does for it."""
    with open_hdf5(path) as file:
        status = status_of(file, path)
        return _Dataset(path, key, _dataset(file, path, key), status)


def _kind(dtype: np.dtype[Any]) -> str:
    h5py = _h5py()
    if h5py.check_string_dtype(dtype) is not None:
        return "string of variable length"
    if h5py.check_vlen_dtype(dtype) is not None:
        return "sequence of variable length"
    if h5py.check_ref_dtype(dtype) is not None:
        return "reference"
    return "compound of such"


def _obstacle(path: str, dataset: Any) -> str | None:
    """Why the rows of a dataset can't be mapped from this file, if they can't."""
    h5py = _h5py()
    if not os.path.samefile(dataset.file.filename, path):
        return "lies in another file, behind an external link"
    layout = dataset.id.get_create_plist()
    compression = f" and compressed ({dataset.compression})" if dataset.compression else ""
    if dataset.chunks is not None:
        return f"is chunked{compression}"
    if dataset.is_virtual:
        return "is virtual: its data lies in other datasets"
    if layout.get_external_count():
        return "is external: its data lies in another file"
    if dataset.size == 0:
        return None
    if layout.get_layout() != h5py.h5d.CONTIGUOUS:
        return "is compact: its data lies in the file's metadata"
    if dataset.id.get_offset() is None:
        return "was never written, and has no place in its file"
    if not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True)):
        return f"has an HDF5 type that is converted to {dataset.dtype}"
    if not has_header(_plain(dataset.dtype).base):
        return "has fields that are not in the order of their offsets"
    return None


# Files that are open at the same time.
_OPEN_FILES = 32


class _Process:
    """The open files of one process."""

    def __init__(self) -> None:
        self.number = os.getpid()
        self.lock = threading.Lock()
        self.opened: OrderedDict[int, tuple[Any, Any]] = OrderedDict()  # files and datasets


class HDF5Leaf:
    """The rows of datasets that are concatenated along axis 0, read by h5py: see
    npyfast._backends.interface.OpenedLeaf. Thread-safe; a forked process opens the files itself."""

    def __init__(self, datasets: Sequence[_Dataset]) -> None:
        self._found = [dataset for dataset in datasets if dataset.shape[0]]
        self._first_rows = np.cumsum([0] + [dataset.shape[0] for dataset in self._found])
        self.dtype = native(datasets[0].dtype)
        self.row_shape = datasets[0].shape[1:]
        self.storage = Storage("h5py", chunk_rows=self._chunk_rows())
        self._process = _Process()
        if len(self._found) <= _OPEN_FILES:
            # They stay open, which keeps files that are removed or replaced later.
            for number in range(len(self._found)):
                self._opened(self._process, number)

    def _chunk_rows(self) -> int | None:
        """Rows of the largest chunk."""
        return max((each.chunk_rows for each in self._found if each.chunk_rows), default=None)

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        return [(dataset.path, dataset.shape[0]) for dataset in self._found]

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        # Not np.empty, which makes "S1" of "S0".
        out: AnyArray = np.ndarray((len(rows), *self.row_shape), self.dtype)
        self.take_into(rows, out, threads)
        return out

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        # Each row is read once, in the order of the file.
        wanted, places = np.unique(resolve_rows(rows, len(self)), return_inverse=True)
        places = places.reshape(-1)
        slots = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=len(wanted)))
        which = np.searchsorted(self._first_rows, wanted, side="right") - 1
        done = 0
        touched = np.unique(which)
        for number in touched:
            mine = wanted[which == number] - self._first_rows[number]
            for part in _runs(mine, self._found[number].chunk_rows):
                read = self._read(number, int(part[0]), int(part[-1]) + 1)
                for row in part:
                    begin = ends[done - 1] if done else 0
                    out[slots[begin : ends[done]]] = read[row - part[0]]
                    done += 1
        for number in touched:
            self._found[number].check_files()

    def check_files(self) -> None:
        for dataset in self._found:
            dataset.check_files()

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Converted:
        return Converted(self, cast, row_shape)

    def _read(self, number: int, begin: int, end: int) -> AnyArray:
        """Consecutive rows of one dataset."""
        process = self._process
        if process.number != os.getpid():
            # The parent's lock may be locked for ever here. Its files go first: HDF5 would take a
            # file that it has open for the one that is opened.
            process = self._process = _Process()
        with process.lock:
            dataset = self._opened(process, number)
            try:
                read: AnyArray = dataset[begin:end]
            except (OSError, RuntimeError) as error:
                self._found[number].check_files()  # which says more
                raise OSError(f"{self._found[number].name}: {error}") from error
        return to_native(read)

    def _opened(self, process: _Process, number: int) -> Any:
        """A dataset; its file stays open as long as it is among those last used."""
        opened = process.opened.pop(number, None)
        if opened is None:
            found = self._found[number]
            file = open_hdf5(found.file.place)
            try:
                found.file.check_same(status_of(file, found.file.place))
                found.check_files()
                opened = file, _dataset(file, found.path, found.key)
            except BaseException:
                file.close()
                raise
        process.opened[number] = opened
        if len(process.opened) > _OPEN_FILES:
            process.opened.popitem(last=False)[1][0].close()
        return opened[1]


def _runs(rows: RowNumbers, chunk_rows: int | None) -> list[RowNumbers]:
    """Sorted rows in parts, each of which is read at once: those of one chunk, which is read as a
    whole whatever is wanted of it, or without chunks those that follow each other."""
    cuts = np.diff(rows) > 1 if chunk_rows is None else np.diff(rows // chunk_rows) > 0
    return np.split(rows, np.flatnonzero(cuts) + 1)
