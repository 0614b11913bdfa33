"""Checks of the options of a source against its files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

from npyfast._backends.header import Header
from npyfast._errors import NpyFormatError, printable
from npyfast._sources.formats import NPY, UNKNOWN, Format, list_keys, member_name, open_file
from npyfast._sources.opening import Opening


def refuse_no_rows(path: str, key: str, header: Header) -> None:
    if header.shape == ():
        raise ValueError(
            f"{member_name(path, key)}: holds a 0-dimensional array, which has no rows"
        )


def only_key(path: str, keys: list[str] | None) -> str:
    if keys is not None and len(keys) == 1:
        return keys[0]
    raise ValueError(
        printable(
            f"{path}: holds {len(keys or [])} arrays: choose one by npyfast.source(path, "
            f"key=...), of {list_keys(keys or [])}"
            if keys
            else f"{path}: holds no arrays"
        )
    )


def refuse_mixed(files: Sequence[str], opening: Opening) -> None:
    """Raises ValueError if a file is readable but of another format than the first one."""
    first = opening.format_of(files[0])
    for path in files[1:]:
        found = opening.format_of(path)
        if UNKNOWN not in (first, found) and found != first:
            raise ValueError(
                printable(
                    f"the files of one array must be of one kind: {files[0]} is {first}, {path} is "
                    f"{found}"
                )
            ) from None


def refuse_key(path: str, key: str, found: Format) -> NoReturn:
    open_file(path).close()  # an OSError from opening it is more useful
    if found == NPY:
        raise ValueError(
            printable(f"{path}: is a .npy file, which holds one array: omit key={key!r}")
        )
    raise NpyFormatError(
        f"{path}: is neither a .npz archive nor an HDF5 file, which key={key!r} is for"
    )


def new_shape(name: str, old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """The option row_shape, with -1 inferred."""
    items, known = math.prod(old), math.prod(n for n in new if n >= 0)
    if -1 in new and known and items % known == 0:
        return tuple(items // known if n < 0 else n for n in new)
    if -1 in new or items != known:
        raise ValueError(
            f"{name}: rows of shape {old}, {items:,} items, cannot be reshaped to row_shape={new}"
        )
    return new
