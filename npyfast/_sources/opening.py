"""The files that are inspected while sources are opened, each of which is opened once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from npyfast._backends.fields import AnyArray
from npyfast._sources.formats import HDF5, NPZ, UNKNOWN, Format, format_of_descriptor, open_file
from npyfast._sources.hdf5_file import open_hdf5
from npyfast._sources.npz import Archive

if TYPE_CHECKING:
    from typing_extensions import Self

# The most archives, and HDF5 files, that stay open. Any others are opened when they are needed.
_KEPT_OPEN = 32


class Opening:
    """Opens and inspects the files of sources. Leaving its `with` block closes the files.

    Without `map_now`, the opened leaves map their files when they are first read.
    """

    def __init__(self, *, map_now: bool = True) -> None:
        self.map_now = map_now
        self._formats: dict[str, Format] = {}
        self._archives: dict[str, Archive] = {}
        self._archive_files: dict[str, BinaryIO] = {}
        self._hdf5_files: dict[str, Any] = {}
        # The memory of inflated arrays; see npyfast._sources.inflated.
        self.inflated: dict[Any, AnyArray] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for files in (self._archive_files, self._hdf5_files):
            while files:
                files.popitem()[1].close()

    def format_of(self, path: str) -> Format:
        """The format of a file, by its first bytes. A file that cannot be read is UNKNOWN: opening
        it reports why."""
        found = self._formats.get(path)
        if found is None:
            found = self._formats[path] = self._sniffed(path)
        return found

    def _sniffed(self, path: str) -> Format:
        try:
            file = open_file(path)
            found = format_of_descriptor(file.fileno())
        except OSError:
            return UNKNOWN
        if found == NPZ and len(self._archive_files) < _KEPT_OPEN:
            self._archive_files[path] = file
        else:
            file.close()
        return found

    def archive(self, path: str) -> Archive:
        """An `.npz` archive. Its directory is read once."""
        found = self._archives.get(path)
        if found is None:
            self.format_of(path)  # also opens it
            found = self._archives[path] = Archive(path, self._archive_files.get(path))
        return found

    @contextmanager
    def hdf5(self, path: str) -> Iterator[Any]:
        """An HDF5 file, open for reading by h5py."""
        file = self._hdf5_files.get(path)
        if file is not None:
            yield file
            return
        file = open_hdf5(path, readable=self._formats.get(path) == HDF5)
        if len(self._hdf5_files) < _KEPT_OPEN:
            self._hdf5_files[path] = file
            yield file
            return
        with file:
            yield file

    def close_hdf5(self, path: str) -> None:
        """Closes an HDF5 file, so that opening it again opens the file that has the name by
        then."""
        file = self._hdf5_files.pop(path, None)
        if file is not None:
            file.close()
