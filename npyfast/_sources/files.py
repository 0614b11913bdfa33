"""The files of one array: which arrays they hold, and how their rows are opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from npyfast._backends import backend
from npyfast._backends.header import LocatedHeader
from npyfast._backends.interface import OpenedLeaf
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._errors import NpyFormatError, printable
from npyfast._sources import hdf5
from npyfast._sources.checks import only_key, refuse_key, refuse_mixed, refuse_no_rows
from npyfast._sources.formats import HDF5, NPZ, UNKNOWN, Format, list_keys
from npyfast._sources.inflated import Compressed, inflate, inflated
from npyfast._sources.opening import Opening
from npyfast._sources.raw import Layout, locate

ROW_EACH = "pass npyfast.source(..., per_file='row')"


@dataclass(frozen=True)
class FileOptions:
    """The options of `npyfast.source` that say what files are. At most one is given."""

    per_file: Literal["row"] | None = None
    key: str | None = None
    layout: Layout | None = None  # of raw binary data
    located: LocatedHeader | None = None  # of the only file, which the caller has mapped

    @property
    def by_content(self) -> bool:
        """Whether the format is detected from the files."""
        return self.per_file is None and self.layout is None and self.located is None


def open_files(
    files: Sequence[str], options: FileOptions, opening: Opening, view: RowView
) -> OpenedLeaf:
    """The rows of files that a view leaves, as they are stored. Files of one row have no view."""
    if options.per_file is not None:
        return backend().open_row_files(files)
    if options.layout is not None:
        layout = options.layout
        located = [locate(path, layout) for path in files]
        return backend().open(files, located, map_now=opening.map_now, view=view)
    if options.located is not None:
        return backend().open(files, [options.located], map_now=opening.map_now, view=view)
    opened = open_npy(files, opening, view) if options.key is None else None
    if opened is not None:
        return opened
    try:
        return _open_by_content(files, options.key, opening, view)
    except NpyFormatError:
        refuse_mixed(files, opening)
        raise


def open_npy(files: Sequence[str], opening: Opening, view: RowView = PLAIN) -> OpenedLeaf | None:
    """The rows of `.npy` files that have the usual name, opened without a look at their first
    bytes; None if they are something else, or damaged."""
    if not files or not files[0].endswith(".npy"):
        return None
    try:
        return backend().open(files, map_now=opening.map_now, view=view)
    except NpyFormatError:
        return None


def _open_by_content(
    files: Sequence[str], key: str | None, opening: Opening, view: RowView
) -> OpenedLeaf:
    found = opening.format_of(files[0])
    if found in (NPZ, HDF5):
        if key is None:
            key = only_key(files[0], _keys_of_all(files, found, opening))
        if found == HDF5:
            return hdf5.open(files, key, opening, view)
        array = Compressed.find(files, key, opening)
        if array is not None:
            if view.window and len(files) > 1:
                raise ValueError(
                    f"{array.name} and {len(files) - 1} more files are compressed, and windows "
                    "over several such files are not supported: npyfast pack each of them"
                )
            whole = inflated(array, opening) if opening.map_now else array.without_items()
            return backend().view(whole, view)
        located = [opening.archive(path).locate(key) for path in files]
        for path, (header, _) in zip(files, located, strict=True):
            refuse_no_rows(path, key, header)
        return backend().open(files, located, map_now=opening.map_now, view=view)
    if key is not None:
        refuse_key(files[0], key, found)
    try:
        return backend().open(files, map_now=opening.map_now, view=view)
    except NpyFormatError as error:
        if found != UNKNOWN or not os.path.getsize(files[0]):
            raise
        hint = "if it holds raw numbers, npyfast.source(path, dtype=...) reads them"
        raise NpyFormatError(f"{error}; {hint}") from None


def row_each_hint(files: Sequence[str], options: FileOptions) -> str:
    """What to do if files do not form one array because each of them is one row."""
    try:
        if len(files) > 1 and options.by_content and backend().read_header(files[0]).shape == ():
            return f"; if each file is one row, {ROW_EACH}"
    except (OSError, ValueError):
        pass
    return ""


def keys_of(files: Sequence[str], options: FileOptions, opening: Opening) -> list[str] | None:
    """The names of the arrays in `.npz` or HDF5 files; None for other files.

    Raises ValueError naming two files that hold different ones.
    """
    if not files or not options.by_content:
        return None
    found = opening.format_of(files[0])
    return _keys_of_all(files, found, opening) if found in (NPZ, HDF5) else None


def _keys_of_all(files: Sequence[str], found: Format, opening: Opening) -> list[str]:
    first = _keys(files[0], found, opening)
    for path in files[1:]:
        try:
            others = _keys(path, found, opening)
        except NpyFormatError:
            refuse_mixed(files, opening)
            raise
        if set(others) != set(first):
            raise ValueError(
                printable(
                    "the files of one source must hold the same arrays: "
                    f"{files[0]} has {list_keys(first)}, {path} has {list_keys(others)}; "
                    "npyfast.source(..., key=...) chooses one"
                )
            )
    return first


def _keys(path: str, found: Format, opening: Opening) -> list[str]:
    return opening.archive(path).keys() if found == NPZ else hdf5.keys(path, opening)


def inflate_together(leaves: Sequence[tuple[Sequence[str], FileOptions]], opening: Opening) -> None:
    """Inflates what is compressed of leaves that are about to be opened, all at once. Whatever is
    wrong with a leaf is left to opening it."""
    try:
        found = [
            Compressed.find(files, key, opening)
            for files, options in leaves
            if len(files) and options.by_content and opening.format_of(files[0]) == NPZ
            for key in ([options.key] if options.key else _keys_of_all(files, NPZ, opening))
        ]
    except (OSError, ValueError, TypeError):
        return
    inflate([each for each in found if each is not None], opening)


def key_in_archives(files: Sequence[str], options: FileOptions, opening: Opening) -> str | None:
    """The key of the array in `.npz` archives; None if the files are not archives."""
    if not files or not options.by_content or opening.format_of(files[0]) != NPZ:
        return None
    if options.key is not None:
        return options.key
    return only_key(files[0], _keys_of_all(files, NPZ, opening))
