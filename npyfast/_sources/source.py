"""Sources: what a leaf of `dataset` and `batches` may be, and how it is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from npyfast._backends import backend
from npyfast._backends.cast import Cast
from npyfast._backends.fields import AnyArray
from npyfast._backends.file_status import absolute_path
from npyfast._backends.header import LocatedHeader
from npyfast._backends.interface import OpenedLeaf
from npyfast._errors import NpyFormatError, printable
from npyfast._nest import Nest, leaves, map_nest
from npyfast._sources import hdf5
from npyfast._sources.checks import (
    new_shape,
    only_key,
    refuse_key,
    refuse_mixed,
    refuse_no_rows,
)
from npyfast._sources.file_sets import check_sets
from npyfast._sources.formats import (
    HDF5,
    NPZ,
    UNKNOWN,
    format_of,
    list_keys,
    make_shape,
    member_name,
)
from npyfast._sources.npz import Archives
from npyfast._sources.paths import Path, expand_all
from npyfast._sources.raw import Layout, locate

LEAVES = (
    "a path, a glob pattern, a directory, a list of paths, a NumPy array or what npyfast.source() "
    "returns"
)


@dataclass(frozen=True)
class _Options:
    """How a leaf is read, and what becomes of its rows."""

    per_file: str | None = None
    key: str | None = None
    layout: Layout | None = None  # of raw binary data
    cast: Any = None
    scale: Any = None
    shift: Any = None
    row_shape: tuple[int, ...] | None = None

    @property
    def casts(self) -> bool:
        return any(option is not None for option in (self.cast, self.scale, self.shift))


class Source:
    """A leaf of `npyfast.dataset`: the files of one array, or an array in memory.

    Made by `npyfast.source`; everything that takes a path takes a Source as well.
    """

    def __init__(
        self,
        files: tuple[str, ...],
        memory: AnyArray | None = None,
        options: _Options = _Options(),
    ) -> None:
        self._files = files
        self._folder = absolute_path("")
        self._memory = memory
        self._options = options

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in the order of their rows; none for an array in memory. Relative paths stay
        so as long as the process is in the directory that they are relative to."""
        if self._folder == absolute_path(""):
            return self._files
        return tuple(os.path.join(self._folder, path) for path in self._files)

    @property
    def name(self) -> str:
        """What error messages call it."""
        if self._memory is not None:
            return f"the array of shape {self._memory.shape} in memory"
        key = self._options.key
        first = printable(self._files[0] if key is None else member_name(self._files[0], key))
        if len(self._files) == 1:
            return first
        return f"{first} and {len(self._files) - 1} more files"

    def open(self, archives: Archives | None = None) -> OpenedLeaf:
        """The rows, by the backend that copies them. What is opened at the same time shares its
        `archives`."""
        rows = self._open(Archives() if archives is None else archives)
        options = self._options
        shape = None
        if options.row_shape is not None:
            shape = new_shape(self.name, rows.row_shape, options.row_shape)
        cast = None
        if options.casts:
            row_shape = rows.row_shape if shape is None else shape
            try:
                cast = Cast.make(rows.dtype, row_shape, options.cast, options.scale, options.shift)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{self.name}: {error}") from None
        return rows if cast is None and shape is None else rows.converted(cast, shape)

    def _open(self, archives: Archives) -> OpenedLeaf:
        """The rows as they are in the files, or in memory."""
        if self._memory is not None:
            return backend().view(self._memory)
        files, options = self.files, self._options
        if options.per_file is not None:
            return backend().open_row_files(files)
        if options.layout is not None:
            layout = options.layout
            return _open_located(files, [locate(path, layout) for path in files])
        try:
            return self._open_by_format(files, archives)
        except NpyFormatError:
            refuse_mixed(files)
            raise

    def _open_by_format(self, files: tuple[str, ...], archives: Archives) -> OpenedLeaf:
        """The rows of files that say themselves what they are."""
        options = self._options
        found = format_of(files[0])
        if found in (NPZ, HDF5):
            key = options.key
            if key is None:
                key = only_key(files[0], self.keys(archives))
            if found == HDF5:
                return hdf5.open(files, key)
            located = [archives[path].locate(key) for path in files]
            for path, (header, _) in zip(files, located, strict=True):
                refuse_no_rows(path, key, header)
            return _open_located(files, located)
        if options.key is not None:
            refuse_key(files[0], options.key, found)
        try:
            return backend().open(files)
        except NpyFormatError as error:
            if found != UNKNOWN or not os.path.getsize(files[0]):
                raise
            hint = "if it holds raw numbers, npyfast.source(path, dtype=...) reads them"
            raise NpyFormatError(f"{error}; {hint}") from None

    def keys(self, archives: Archives) -> list[str] | None:
        """The names of the arrays that its `.npz` or HDF5 files hold; None for other files.

        Raises ValueError naming two files that hold different ones.
        """
        if not self._files or self._options.layout or self._options.per_file:
            return None
        files = self.files
        found = format_of(files[0])
        if found not in (NPZ, HDF5):
            return None

        def list_of(path: str) -> list[str]:
            return archives[path].keys() if found == NPZ else hdf5.keys(path)

        first = list_of(files[0])
        for path in files[1:]:
            try:
                others = list_of(path)
            except NpyFormatError:
                refuse_mixed(files)
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

    def of_key(self, key: str) -> Source:
        """One array of its `.npz` or HDF5 files."""
        return Source(self.files, options=replace(self._options, key=key))

    def extracted(
        self,
        folder: str,
        archives: Archives,
        create: Callable[[str, int], Any] | None = None,
        require: Callable[[int], object] | None = None,
    ) -> Source:
        """The same rows, with compressed members of `.npz` archives, which can't be opened, written
        to `N.npy.partial` in a folder; `create(path, size)` opens each of them for so many bytes.
        Before any, `require` is told the bytes of all."""
        key = self._key_in_archives(archives)
        files = self.files
        if key is None or not any(archives[path].compression(key) for path in files):
            return self
        for path in files:
            refuse_no_rows(path, key, archives[path].look(key))
        sizes = [archives[path].unpacked_bytes(key) for path in files]
        if require is not None:
            require(sum(sizes))
        written = []
        for number, (path, size) in enumerate(zip(files, sizes, strict=True)):
            written.append(os.path.join(folder, f"{number}.npy.partial"))
            with create(written[-1], size) if create else open(written[-1], "wb") as file:
                archives[path].extract(key, file)
        return Source(tuple(written), options=replace(self._options, key=None))

    def stored_members(self, archives: Archives) -> list[tuple[str, str, int]]:
        """The members of `.npz` archives that are mapped: path, key and bytes of each."""
        key = self._key_in_archives(archives)
        if key is None or any(archives[path].compression(key) for path in self.files):
            return []
        return [(path, key, archives[path].unpacked_bytes(key)) for path in self.files]

    def _key_in_archives(self, archives: Archives) -> str | None:
        """The key of its array in `.npz` archives; None where its files are none."""
        if self._memory is not None or self._options.layout or self._options.per_file:
            return None
        files = self.files
        if format_of(files[0]) != NPZ:
            return None
        key = self._options.key
        return only_key(files[0], self.keys(archives)) if key is None else key

    def __repr__(self) -> str:
        return f"npyfast.Source({self.name})"


def _open_located(files: Sequence[str], located: Sequence[LocatedHeader]) -> OpenedLeaf:
    return backend().open(files, located)


def source(
    path: Path | Sequence[Path] | AnyArray,
    *,
    per_file: str | None = None,
    key: str | None = None,
    dtype: npt.DTypeLike | None = None,
    shape: int | Sequence[int] | None = None,
    offset: int = 0,
    cast: npt.DTypeLike | None = None,
    scale: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    row_shape: int | Sequence[int] | None = None,
) -> Source:
    """One array with options, for `npyfast.dataset`, `npyfast.batches` and `npyfast.open`.

    Args:
        path: a `.npy`, `.npz` or HDF5 file, or one of raw binary data; a glob pattern; a directory
            (its `*.npy` in natural order: `part-2` before `part-10`); a list of them; or an array
            in memory. Several files are one array, concatenated along axis 0.
        per_file: "row": each `.npy` file is one row, and all have the same dtype and shape. They
            are opened when their row is needed, so that a million of them can be used.
        key: which array of `.npz` or HDF5 files (a dataset's path, as "train/images"). Needed where
            they hold several.
        dtype: makes the files raw binary data of this dtype: items in C order, and no header.
        shape: of the array in each raw file, rows first; -1 rows are as many as the file holds. By
            default (-1,).
        offset: the byte where the data of each raw file begins.
        cast: the dtype of the rows that come out: float16, bfloat16, float32 or float64 from any
            bool, integer or float; an integer type from bools and integers, where a value that does
            not fit wraps around, as by NumPy's `astype`.
        scale, shift: rows are multiplied by `scale`, then `shift` is added, in the dtype of the
            result, which must be a float type. Numbers, or arrays that broadcast over a row (such
            as one number for each channel).
        row_shape: the shape of each row that comes out, before `cast`, `scale` and `shift`. An int
            or a tuple; one -1 in it is worked out.

    Returns:
        A `Source`. The files are looked up now, and opened when it is used.

    Raises:
        FileNotFoundError: a pattern or directory without files.
        ValueError: a pattern or directory in which a file of a set is missing
            (`part-00001-of-00003.npy`), or files of two are; an option's value; options that don't
            go together. When it is used: an option that doesn't fit the files; a key that does not
            exist; a compressed member of an `.npz`; a raw file whose size does not divide; a
            `row_shape` of another size.
        TypeError: not a path, a list of paths or an array. When it is used: Python objects, or a
            dtype that can't be cast.
        ImportError: when it is used: an HDF5 file without h5py (`pip install 'npyfast[hdf5]'`).

    Example:
        Several files of one array, and one file a row:

        >>> import numpy as np, npyfast
        >>> np.save("part-0.npy", np.zeros((4, 2))); np.save("part-1.npy", np.ones((3, 2)))
        >>> npyfast.open(npyfast.source("part-*.npy")).shape
        (7, 2)
        >>> np.save("a.npy", np.zeros((4, 2))); np.save("b.npy", np.ones((4, 2)))
        >>> npyfast.open(npyfast.source(["a.npy", "b.npy"], per_file="row")).shape
        (2, 4, 2)

        One array of an archive, and raw binary data:

        >>> np.savez("archive.npz", images=np.zeros((9, 784), np.uint8), labels=np.arange(9))
        >>> npyfast.open(npyfast.source("archive.npz", key="labels")).shape
        (9,)
        >>> np.arange(12, dtype="float32").tofile("data.bin")
        >>> npyfast.open(npyfast.source("data.bin", dtype="float32", shape=(-1, 4)))[2]
        array([ 8.,  9., 10., 11.], dtype=float32)

        Rows in another shape and dtype:

        >>> images = npyfast.source("archive.npz", key="images", row_shape=(28, 28, 1))
        >>> npyfast.open(images).shape
        (9, 28, 28, 1)
        >>> npyfast.open(npyfast.source(np.arange(3), cast="float32", scale=0.5, shift=1))[:]
        array([1. , 1.5, 2. ], dtype=float32)
    """
    if per_file not in (None, "row"):
        raise ValueError(f"per_file must be None or 'row', got {per_file!r}")
    if key is not None and not isinstance(key, str):
        raise ValueError(f"key must be None or a str, got {key!r}")
    raw = [name for name, given in (("shape", shape is not None), ("offset", offset != 0)) if given]
    if dtype is None and raw:
        raise ValueError(f"{raw[0]} is for raw binary data: give its dtype as well")
    if dtype is not None:
        raw.insert(0, "dtype")
    chosen = ["per_file"] * (per_file is not None) + ["key"] * (key is not None) + raw[:1]
    if len(chosen) > 1:
        raise ValueError(
            f"{chosen[0]} and {chosen[1]} don't go together: per_file is for .npy files of one row "
            "each, key for .npz and HDF5 files, dtype (with shape and offset) for raw binary data"
        )
    options = _Options(
        per_file=per_file,
        key=key,
        layout=None if dtype is None else Layout.make(dtype, shape, offset),
        cast=cast,
        scale=scale,
        shift=shift,
        row_shape=None if row_shape is None else make_shape("row_shape", row_shape),
    )
    if isinstance(path, np.ndarray):
        if chosen:
            raise ValueError(f"{chosen[0]} is for files, not for an array in memory")
        if np.ma.is_masked(path):
            raise TypeError(
                f"an array in memory of shape {path.shape} has masked items, for which there is no "
                "value: give array.filled(...)"
            )
        return Source((), path, options)
    return Source(_files(path, options), options=options)


def _files(path: Any, options: _Options) -> tuple[str, ...]:
    """The files that a leaf means."""
    paths = path if isinstance(path, list) else [path]
    if not paths or not all(isinstance(item, (str, os.PathLike)) for item in paths):
        if isinstance(path, list) and paths:
            raise TypeError(f"a list of paths holds something else: {path!r:.200}")
        raise TypeError(f"a path, a list of paths or an array is needed, not {path!r:.200}")
    if options.layout is not None:
        for item in paths:
            if os.path.isdir(item):
                raise ValueError(
                    printable(
                        f"{os.fspath(item)}: is a directory, of which any file could be raw data: "
                        f"write a pattern, such as '{os.path.join(os.fspath(item), '*.bin')}'"
                    )
                )
    found = expand_all(paths, npy_are_files=options.per_file is not None)
    if options.per_file is None:
        check_sets(found, {os.fsdecode(os.fspath(item)) for item in paths})
    return tuple(found)


def as_source(leaf: Any) -> Source:
    """The Source that a leaf of a nest means."""
    if isinstance(leaf, Source):
        return leaf
    if isinstance(leaf, np.ndarray):
        return source(leaf)
    if isinstance(leaf, (str, os.PathLike)) or (
        isinstance(leaf, list) and leaf and isinstance(leaf[0], (str, os.PathLike))
    ):
        return source(leaf)
    hint = ""
    if isinstance(leaf, list):
        hint = "; several arrays are a tuple or a dict, not a list"
        if leaf and _are_numbers(leaf):
            hint = "; np.asarray(...) makes an array of it"
    raise TypeError(f"a source is {LEAVES}, or a tuple or dict of them; got {leaf!r:.200}{hint}")


def _are_numbers(values: list[Any]) -> bool:
    try:
        return np.asarray(values).dtype.kind in "biufc"
    except ValueError:  # of several shapes
        return False


def _as_sources(leaf: Any, archives: Archives) -> Nest:
    """The Source that a leaf of a nest means; the dict of those of all its arrays, where it is the
    path of `.npz` or HDF5 files."""
    made = as_source(leaf)
    keys = None if leaf is made else made.keys(archives)
    if keys == []:
        raise ValueError(f"{made.name}: holds no arrays")
    return made if keys is None else {key: made.of_key(key) for key in keys}


def open_nest(nest: Nest) -> tuple[Nest, list[OpenedLeaf], list[str]]:
    """Opens every leaf of a nest of sources; returns the nest of opened leaves, and them in order,
    with what error messages call them.

    Raises ValueError naming two leaves that differ in their number of rows.
    """
    archives = Archives()
    sources = map_nest(lambda leaf: _as_sources(leaf, archives), nest)
    opened = map_nest(lambda leaf: leaf.open(archives), sources)
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
    return opened, flat, names
