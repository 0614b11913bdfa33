"""From what a user writes for a path to the files that it means."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterable

Path = str | os.PathLike[str]


def natural_key(path: str) -> list[tuple[int, int, str]]:
    """A sort key under which "part-2" comes before "part-10"."""
    # Digits sort before text at the same place; equal numbers ("7", "07") by their text.
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", path)
        if part
    ]


def expand(path: Path) -> list[str]:
    """The files that a path means: itself, the `*.npy` of a directory, or what a pattern finds.

    A path that exists is itself, whatever characters it has. Files of a directory and of a pattern
    come in natural order. Raises FileNotFoundError where there is nothing, and ValueError for a
    null character, as `open` does.
    """
    name = os.fsdecode(os.fspath(path))
    if "\0" in name:
        # The system would open what stands in front of it.
        raise ValueError(f"{name!r}: a path has no null characters")
    if os.path.isdir(name):
        with os.scandir(name) as entries:
            found = [entry.path for entry in entries if entry.name.endswith(".npy")]
        if not found:
            raise FileNotFoundError(errno.ENOENT, "the directory has no .npy files", name)
        return sorted(found, key=natural_key)
    if not os.path.lexists(name) and glob.has_magic(name):
        found = glob.glob(name, recursive=True)
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no file matches the pattern", name)
        return sorted(found, key=natural_key)
    return [name]


def expand_all(paths: Iterable[Path]) -> list[str]:
    """The files that the paths mean, in the order of the paths."""
    return [name for path in paths for name in expand(path)]
