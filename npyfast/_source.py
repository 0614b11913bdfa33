"""Sources: what a leaf of `dataset` and `batches` may be, and how it is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from npyfast._backends import Rows as BackendRows
from npyfast._backends import backend
from npyfast._fields import AnyArray
from npyfast._nest import Nest, leaves, map_nest
from npyfast._paths import Path, expand_all

LEAVES = (
    "a path, a glob pattern, a directory, a list of paths, a NumPy array or what npyfast.source() "
    "returns"
)


class Source:
    """A leaf of `npyfast.dataset`: the files of one array, or an array in memory.

    Made by `npyfast.source`; everything that takes a path takes a Source as well.
    """

    def __init__(self, files: tuple[str, ...], memory: AnyArray | None = None) -> None:
        self._files = files
        self._memory = memory

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in the order of their rows; none for an array in memory."""
        return self._files

    @property
    def name(self) -> str:
        """What error messages call it."""
        if self._memory is not None:
            return f"the array of shape {self._memory.shape} in memory"
        if len(self._files) == 1:
            return self._files[0]
        return f"{self._files[0]} and {len(self._files) - 1} more files"

    def open(self) -> BackendRows:
        """The rows, by the backend that copies them."""
        if self._memory is not None:
            return backend().view(self._memory)
        return backend().open(self._files)

    def __repr__(self) -> str:
        return f"npyfast.Source({self.name})"


def source(path: Path | Sequence[Path]) -> Source:
    """A leaf with options, for `npyfast.dataset`, `npyfast.batches` and `npyfast.open`.

    Args:
        path: a `.npy` file, a glob pattern, a directory (its `*.npy` in natural order: `part-2`
            before `part-10`), or a list of them. Several files are the shards of one array,
            concatenated along axis 0.

    Returns:
        A `Source`. The files are looked up now, and opened when it is used.

    Raises:
        FileNotFoundError: a pattern or directory without files.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("part-0.npy", np.zeros((4, 2))); np.save("part-1.npy", np.ones((3, 2)))
        >>> npyfast.open(npyfast.source("part-*.npy")).shape
        (7, 2)
    """
    if isinstance(path, (str, os.PathLike)):
        return Source(tuple(expand_all([path])))
    if isinstance(path, list) and path:
        if not all(isinstance(item, (str, os.PathLike)) for item in path):
            raise TypeError(f"a list of paths holds something else: {path!r}")
        return Source(tuple(expand_all(path)))
    raise TypeError(f"a path or a list of paths is needed, not {path!r}")


def as_source(leaf: Any) -> Source:
    """The Source that a leaf of a nest means."""
    if isinstance(leaf, Source):
        return leaf
    if isinstance(leaf, np.ndarray):
        return Source((), leaf)
    if isinstance(leaf, (str, os.PathLike)) or (
        isinstance(leaf, list) and leaf and isinstance(leaf[0], (str, os.PathLike))
    ):
        return source(leaf)
    hint = "; np.asarray(...) makes an array of it" if isinstance(leaf, list) else ""
    raise TypeError(f"a source is {LEAVES}, or a tuple or dict of them; got {leaf!r:.200}{hint}")


def open_nest(nest: Nest) -> tuple[Nest, list[BackendRows]]:
    """Opens every leaf of a nest of sources; returns the nest of opened leaves, and them in order.

    Raises ValueError naming two leaves that differ in their number of rows.
    """
    sources = map_nest(as_source, nest)
    opened = map_nest(lambda leaf: leaf.open(), sources)
    flat = list(leaves(opened))
    if not flat:
        raise ValueError(f"an empty {type(nest).__name__} has no rows; a source is {LEAVES}")
    names = [leaf.name for leaf in leaves(sources)]
    for name, rows in zip(names, flat, strict=True):
        if len(rows) != len(flat[0]):
            raise ValueError(
                "all leaves must have the same number of rows: "
                f"{names[0]} has {len(flat[0]):,}, {name} has {len(rows):,}"
            )
    return opened, flat
