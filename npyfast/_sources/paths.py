"""Expands paths, patterns and directories to files."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterable

from npyfast._errors import printable

Path = str | os.PathLike[str]


_NUMBER = re.compile(r"\d+")


def natural_key(path: str) -> str:
    """A sort key under which "part-2" comes before "part-10"."""
    # A single string: a million tuples take many times as long to make and compare.
    return _NUMBER.sub(_number_key, path)


def _number_key(match: re.Match[str]) -> str:
    """A number as text that sorts by its length, then by its digits, and before any other text;
    equal ones ("7", "07") by how they are written."""
    written = match.group()
    digits = written.lstrip("0") if written.isascii() else str(int(written))
    return f"\0{chr(1 + len(digits))}{digits}{written}\0"


def expand(path: Path) -> list[str]:
    """The files that a path stands for: itself, the `*.npy` of a directory, or a pattern's matches.

    A path that exists stands for itself, whatever characters it has. Files of a directory and of a
    pattern come in natural order. Raises FileNotFoundError if there are none, and ValueError for a
    null character, as `open` does.
    """
    name = os.fsdecode(os.fspath(path))
    if "\0" in name:
        # The system would ignore everything after it.
        raise ValueError(f"{name!r}: a path has no null characters")
    if os.path.isdir(name):
        with os.scandir(name) as entries:
            names = (entry.name for entry in entries if entry.name.endswith(".npy"))
            # Skip hidden files, as a pattern does: ".part.npy" belongs to another program.
            found = [each for each in names if not each.startswith(".")]
        if not found:
            nothing = "the directory has no .npy files; a pattern finds others, as 'folder/*.npz'"
            if glob.glob(os.path.join(glob.escape(name), "*", "*.npy")):
                nothing = (
                    "the directory has no .npy files, but folders that have: npyfast.labeled takes "
                    "each as a class, and the pattern "
                    f"{printable(os.path.join(name, '*', '*.npy'))!r} finds all of their files (if "
                    "each is one row, in npyfast.source(..., per_file='row'))"
                )
            raise FileNotFoundError(errno.ENOENT, nothing, name)
        return [os.path.join(name, file) for file in sorted(found, key=natural_key)]
    if not os.path.lexists(name) and glob.has_magic(name):
        found = glob.glob(name, recursive=True)
        if not found:
            nothing = "no file matches the pattern"
            if "[" in name:
                nothing += "; glob.escape() makes brackets of a name what they are"
            raise FileNotFoundError(errno.ENOENT, nothing, name)
        return sorted(found, key=natural_key)
    return [name]


def expand_all(paths: Iterable[Path], npy_are_files: bool = False) -> list[str]:
    """The files that the paths stand for, in the order of the paths.

    With `npy_are_files`, "*.npy" without magic characters is taken for a file unchecked: a stat of
    each of a million files would take longer than everything else.
    """
    found = []
    for path in paths:
        name = os.fsdecode(os.fspath(path))
        is_file = npy_are_files and name.endswith(".npy") and not glob.has_magic(name)
        found += [name] if is_file and "\0" not in name else expand(path)
    return found
