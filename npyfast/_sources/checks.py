"""Checks of the options of a source against its files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NoReturn

from npyfast._backends.fields import AnyArray
from npyfast._backends.header import Header
from npyfast._errors import NpyFormatError, printable
from npyfast._sources.formats import NPY, UNKNOWN, Format, list_keys, member_name, open_file
from npyfast._sources.opening import Opening
from npyfast._warnings import warn


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


def check_not_names(array: AnyArray) -> None:
    """Warns about an array in memory whose strings are all names of files, or raises TypeError if
    they are Python objects: it was probably meant as a list of paths."""
    if array.ndim != 1 or array.dtype.kind not in "USO" or not all(map(_is_file, array.flat)):
        return
    if not array.size:
        return
    text = "pass array.tolist() if the rows are to come from these files"
    if array.dtype.hasobject:
        raise TypeError(f"an array of {array.size:,} Python objects, all names of files: {text}")
    warn(
        f"an array of {array.size:,} strings is data, of one string a row, and all of them are "
        f"names of files: {text}",
        UserWarning,
    )


def _is_file(name: object) -> bool:
    return isinstance(name, (str, bytes, os.PathLike)) and os.path.isfile(name)


def new_shape(name: str, old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """The option row_shape, with -1 inferred.

    Raises ValueError for another number of items, and for a leading -1 that stands for 1: who
    writes it counts the rows in, as for `reshape`.
    """
    items, known = math.prod(old), math.prod(n for n in new if n >= 0)
    fits = known > 0 and items % known == 0 if -1 in new else items == known
    if fits and not (new[:1] == (-1,) and len(new) > 1 and items == known):
        return tuple(items // known if n < 0 else n for n in new)
    if items and len(new) > 1 and math.prod(new[1:]) == items:
        raise ValueError(
            f"{name}: row_shape={new} counts the rows in, and is the shape of one row: "
            f"use row_shape={new[1:]}"
        )
    raise ValueError(
        f"{name}: rows of shape {old}, {items:,} items, cannot be reshaped to row_shape={new}"
    )
