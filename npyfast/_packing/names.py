"""The names of the files that `npyfast.pack` writes: final and temporary ones."""

from __future__ import annotations

import os
import re

SUFFIX = ".partial"


def partial(name: str) -> str:
    """The temporary name of a file."""
    return name + SUFFIX


def numbered_names(path: str, count: int) -> list[str]:
    """OUT-00000-of-00012.npy and so on, for OUT.npy."""
    stem = path.removesuffix(".npy")
    digits = max(5, len(str(count)))
    return [f"{stem}-{i:0{digits}}-of-{count:0{digits}}.npy" for i in range(count)]


def numbered_files(path: str, suffix: str = "") -> list[str]:
    """The existing files whose names are numbered names of this output, with a suffix."""
    folder, base = os.path.split(path)
    stem = base.removesuffix(".npy")
    pattern = re.compile(re.escape(stem) + r"-\d{5,}-of-\d{5,}\.npy" + re.escape(suffix))
    with os.scandir(folder or ".") as entries:
        found = [entry.name for entry in entries if pattern.fullmatch(entry.name)]
    # As in numbered_names(): those of "OUT.npy" are "OUT-...", not "./OUT-...".
    return [os.path.join(folder, name) for name in found]
