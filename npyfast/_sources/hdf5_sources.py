"""The other files that hold the data of an HDF5 dataset: those of a virtual dataset and of external
storage.

If such a file is missing or too short, HDF5 silently reads fill values or zeros.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from npyfast._backends.file_status import FileState, WatchedFile
from npyfast._errors import NpyFormatError
from npyfast._sources.formats import member_name
from npyfast._sources.hdf5_file import dataset_or_none, open_hdf5, status_of

# The deepest nesting of virtual datasets.
_MOST_NESTED = 32

_BLOCK = re.compile("%(%|b)")


def source_files(path: str, key: str, dataset: Any) -> list[WatchedFile]:
    """All other files that hold data of a dataset, each in its current state.

    HDF5 opens them while it reads, so they must stay in place. Raises NpyFormatError if one is
    missing or too short, or a dataset in it is.
    """
    found: dict[str, FileState] = {}
    with ExitStack() as opened:
        _Search(member_name(path, key), found, opened).look(dataset, 0)
    return [WatchedFile(path, state, kept_open=False) for path, state in found.items()]


class _Search:
    def __init__(self, name: str, found: dict[str, FileState], opened: ExitStack) -> None:
        self._name = name
        self._found = found
        self._opened = opened
        self._files: dict[str, Any] = {}
        self._seen: set[tuple[str, str]] = set()

    def look(self, dataset: Any, depth: int) -> None:
        """Looks at the sources of a dataset, recursively."""
        if depth > _MOST_NESTED:
            raise NpyFormatError(f"{self._name}: nests virtual datasets too deep, or in a circle")
        for path, bytes_needed in _external(dataset):
            self._look_at_raw(path, bytes_needed)
        if not dataset.is_virtual:
            return
        for file_name, key in _sources(dataset, self._refusal):
            file = dataset.file if file_name == "." else self._file(file_name, dataset)
            if (file.filename, key) in self._seen:
                continue
            self._seen.add((file.filename, key))
            source = dataset_or_none(file, key)
            if source is None:
                raise self._refusal(member_name(file.filename, key), "is not a dataset")
            self.look(source, depth + 1)

    def _file(self, name: str, dataset: Any) -> Any:
        """A source file, open."""
        for path in _candidates(name, dataset):
            if path in self._files:
                return self._files[path]
            if not os.path.isfile(path):
                continue
            try:
                file = self._opened.enter_context(open_hdf5(path))
            except (NpyFormatError, PermissionError):  # HDF5 would try the next one
                continue
            self._files[path] = file
            self._found[path] = FileState.of(status_of(file, path))
            return file
        raise self._refusal(name, "is missing or cannot be read")

    def _look_at_raw(self, path: str, bytes_needed: int) -> None:
        try:
            status = os.stat(path)
        except OSError as error:
            raise self._refusal(path, f"cannot be read ({error.strerror})") from error
        if status.st_size < bytes_needed:
            raise self._refusal(
                path, f"has {status.st_size:,} bytes of the {bytes_needed:,} it should"
            )
        self._found[os.path.abspath(path)] = FileState.of(status)

    def _refusal(self, source: str, problem: str) -> NpyFormatError:
        return NpyFormatError(
            f"{self._name}: has data in other files, and {source} {problem}: HDF5 would return "
            "fill values instead"
        )


def _external(dataset: Any) -> Iterator[tuple[str, int]]:
    """The files of external storage, and how many bytes each must have."""
    properties = dataset.id.get_create_plist()
    count = properties.get_external_count()
    if not count:
        return
    prefix = os.fsdecode(dataset.id.get_access_plist().get_efile_prefix() or b"")
    prefix = os.environ.get("HDF5_EXTFILE_PREFIX") or prefix
    prefix = prefix.replace("${ORIGIN}", os.path.dirname(os.path.abspath(dataset.file.filename)))
    left = math.prod(dataset.shape) * dataset.id.get_type().get_size()
    for number in range(count):
        name, offset, size = properties.get_external(number)
        used = min(left, size)
        left -= used
        if used:
            yield os.path.join(prefix, os.fsdecode(name)), offset + used


def _sources(
    dataset: Any, refusal: Callable[[str, str], NpyFormatError]
) -> Iterator[tuple[str, str]]:
    """The file and name of each dataset that a virtual dataset is made of."""
    for source in dataset.virtual_sources():
        file_name, key = source.file_name, source.dset_name
        if not any(match[1] == "b" for name in (file_name, key) for match in _BLOCK.finditer(name)):
            yield _named(file_name, 0), _named(key, 0)
            continue
        blocks = _blocks(source.vspace, dataset.shape)
        for block in range(blocks):
            yield _named(file_name, block), _named(key, block)
        # HDF5 takes the first missing block for the end of the dataset.
        for block in _blocks_of_files(file_name, dataset):
            if block > blocks:
                raise refusal(
                    _named(file_name, blocks), f"is missing, where block {block} is there"
                )


def _named(pattern: str, block: int) -> str:
    return _BLOCK.sub(lambda match: "%" if match[1] == "%" else str(block), pattern)


def _blocks(space: Any, shape: tuple[int, ...]) -> int:
    """How many blocks of an unlimited selection lie in a dataset of this shape."""
    start, stride, count, _ = space.get_regular_hyperslab()
    for axis, times in enumerate(count):
        if times >= 2**63:
            return max(0, -(-(shape[axis] - int(start[axis])) // int(stride[axis])))
    return 1


def _blocks_of_files(pattern: str, dataset: Any) -> list[int]:
    """The numbers of the blocks that have a file."""
    for path in _candidates(pattern, dataset):
        folder, name = os.path.split(path)
        parts = re.split("%b", name)
        if len(parts) == 1 or "%b" in folder or not os.path.isdir(folder or "."):
            continue
        matching = "(\\d+)".join(re.escape(part.replace("%%", "%")) for part in parts)
        found = [re.fullmatch(matching, entry) for entry in os.listdir(folder or ".")]
        numbers = [int(match[1]) for match in found if match]
        if numbers:
            return sorted(numbers)
    return []


def _candidates(name: str, dataset: Any) -> Iterator[str]:
    """The paths that HDF5 tries for the file of a source, in order."""
    if os.path.isabs(name):
        yield name
        name = os.path.basename(name)
    prefixes = os.environ.get("HDF5_VDS_PREFIX", "").split(":")
    prefixes.append(os.fsdecode(dataset.id.get_access_plist().get_virtual_prefix() or b""))
    filename = dataset.file.filename
    origin = os.path.dirname(os.path.abspath(filename))
    for prefix in prefixes:
        if prefix:
            yield os.path.join(prefix.replace("${ORIGIN}", origin), name)
    yield os.path.join(origin, name)
    yield os.path.abspath(name)
    yield os.path.join(os.path.dirname(os.path.realpath(filename)), name)
