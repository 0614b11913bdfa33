"""Sources: what a leaf of `dataset` and `batches` may be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from typing import cast as cast_type

import numpy as np
import numpy.typing as npt

from npyfast._backends import backend
from npyfast._backends.cast import Cast, check_cast
from npyfast._backends.fields import AnyArray
from npyfast._backends.file_status import absolute_path
from npyfast._backends.interface import OpenedLeaf
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._errors import printable, shown
from npyfast._options import make_shape
from npyfast._sources.array_like import ArrayLike, as_array, is_array_like
from npyfast._sources.array_like_leaf import open_array_like
from npyfast._sources.checks import check_not_names, new_shape
from npyfast._sources.file_order import warn_of_text_order
from npyfast._sources.file_sets import check_sets
from npyfast._sources.files import FileOptions, keys_of, open_files, row_each_hint
from npyfast._sources.formats import member_name
from npyfast._sources.memmaps import mapped_rows
from npyfast._sources.opening import Opening
from npyfast._sources.paths import Path, expand_all
from npyfast._sources.raw import Layout
from npyfast._unknown_options import SOURCE, explaining

LEAVES = (
    "a path, a glob pattern, a directory, a list of paths, an array or what npyfast.source() "
    "returns"
)


@dataclass(frozen=True)
class RowOptions:
    """The options of `npyfast.source` that change the rows."""

    cast: npt.DTypeLike | None = None
    scale: npt.ArrayLike | None = None
    shift: npt.ArrayLike | None = None
    row_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_cast(self.cast, self.scale, self.shift)

    def applied(self, leaf: OpenedLeaf, name: str) -> OpenedLeaf:
        """The leaf, reshaped and cast. Errors begin with the name."""
        shape = cast = None
        if self.row_shape is not None:
            shape = new_shape(name, leaf.row_shape, self.row_shape)
        if not (self.cast is self.scale is self.shift is None):
            row_shape = leaf.row_shape if shape is None else shape
            try:
                cast = Cast.make(leaf.dtype, row_shape, self.cast, self.scale, self.shift)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}: {error}") from None
        return leaf if cast is None and shape is None else leaf.converted(cast, shape)


class Source:
    """A leaf of `npyfast.dataset`: the files of one array, or an array in memory.

    Made by `npyfast.source`; everything that takes a path takes a Source as well.
    """

    def __init__(
        self,
        files: tuple[str, ...],
        memory: AnyArray | None = None,
        file_options: FileOptions | None = None,
        row_options: RowOptions | None = None,
        view: RowView = PLAIN,
        *,
        listed: bool = False,
        array_like: ArrayLike | None = None,
    ) -> None:
        self._files = files
        self.listed = listed  # whether the caller chose the order of the files
        self._folder = absolute_path("")
        self.memory = memory
        self.array_like = array_like
        self.file_options = file_options or FileOptions()
        self.row_options = row_options or RowOptions()
        self.view = view

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in the order of their rows: of a pattern or a directory, in natural order.
        Labels that are made from this tuple are in the right order. Empty for an array in memory.
        Relative paths stay relative until the process changes its working directory.

        Example:
            >>> import numpy as np, npyfast
            >>> for name in ("a-1", "b-2", "b-10"):
            ...     np.save(f"{name}.npy", np.zeros(3))
            >>> npyfast.source("*-*.npy", per_file="row").files
            ('a-1.npy', 'b-2.npy', 'b-10.npy')
        """
        if self._folder == absolute_path(""):
            return self._files
        return tuple(os.path.join(self._folder, path) for path in self._files)

    @property
    def name(self) -> str:
        """The name of the source in error messages."""
        if self.array_like is not None:
            return shown(self.array_like)
        if self.memory is not None:
            return f"the array of shape {self.memory.shape} in memory"
        key = self.file_options.key
        first = printable(self._files[0] if key is None else member_name(self._files[0], key))
        if len(self._files) == 1:
            return first
        return f"{first} and {len(self._files) - 1} more files"

    def open(self, opening: Opening | None = None) -> OpenedLeaf:
        """The rows, opened by the backend. Sources that are opened together share an `opening`."""
        if opening is None:
            with Opening() as opening:
                return self.open(opening)
        stored: OpenedLeaf
        if self.array_like is not None:
            stored = open_array_like(self.array_like, self.view)
        elif self.memory is not None:
            stored = backend().view(self.memory, self.view)
        else:
            stored = self._open_files(opening)
        return self.row_options.applied(stored, self.name)

    def _open_files(self, opening: Opening) -> OpenedLeaf:
        try:
            return open_files(self.files, self.file_options, opening, self.view)
        except ValueError as error:
            hint = row_each_hint(self.files, self.file_options)
            if type(error) is not ValueError or not hint:
                raise
            raise ValueError(f"{error}{hint}") from None

    def keys(self, opening: Opening) -> list[str] | None:
        """The names of the arrays in its `.npz` or HDF5 files; None for other files.

        Raises ValueError naming two files that hold different ones.
        """
        return keys_of(self.files, self.file_options, opening)

    def of_key(self, key: str) -> Source:
        """One array of its `.npz` or HDF5 files."""
        options = replace(self.file_options, key=key)
        return Source(self.files, None, options, self.row_options, self.view)

    def __repr__(self) -> str:
        files, rows = self.file_options, self.row_options
        layout = {} if files.layout is None else vars(files.layout)
        given = {"per_file": files.per_file, **layout, **vars(rows), **self.view.options()}
        options = [f"{name}={_shown(value)}" for name, value in given.items() if value is not None]
        return f"npyfast.Source({', '.join([self.name, *options])})"


def _shown(option: Any) -> str:
    """The value of an option; a dtype by its name."""
    if isinstance(option, type) and issubclass(option, np.generic):
        option = np.dtype(option)
    return repr(str(option)) if isinstance(option, np.dtype) else shown(option)


@explaining(SOURCE)
def source(
    path: Path | Sequence[Path] | AnyArray | ArrayLike,
    *,
    per_file: Literal["row"] | None = None,
    key: str | None = None,
    dtype: npt.DTypeLike | None = None,
    shape: int | Sequence[int] | None = None,
    offset: int = 0,
    cast: npt.DTypeLike | None = None,
    scale: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    row_shape: int | Sequence[int] | None = None,
    window: int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    rows: slice | None = None,
) -> Source:
    """One array with options, for `npyfast.dataset`, `npyfast.batches` and `npyfast.open`.

    Args:
        path: a `.npy`, `.npz` or HDF5 file, or one of raw binary data; a glob pattern; a directory
            (its `*.npy` in natural order: `part-2` before `part-10`); a list of them; or an array
            in memory. Several files are one array, concatenated along axis 0: a list is one array,
            a tuple of leaves is several. `Source.files` has the files in the order of their rows.
            An `np.memmap`, such as `np.load(path, mmap_mode="r")`, or consecutive rows of one, is
            read as the file. An `ArrayLike`, such as a `zarr.Array`, is read through Python.
        per_file: "row": each `.npy` file is one row, and all have the same dtype and shape. They
            are opened when their row is needed, so there can be a million of them.
        key: which array of `.npz` or HDF5 files (a dataset's path, such as "train/images").
            Required if they hold several.
        dtype: the dtype of raw binary files: items in C order, without a header.
        shape: the shape of the array in each raw file, rows first; -1 stands for as many rows as
            the file holds. Default: (-1,).
        offset: the byte where the data of each raw file begins.
        cast: the dtype to convert rows to: float16, bfloat16, float32 or float64 from any bool,
            integer or float; an integer type from bools and integers, where values that do not fit
            wrap around, as in NumPy's `astype`.
        scale, shift: rows are multiplied by `scale`, then `shift` is added, in the dtype of the
            result, which must be a float type. Each is a number, or an array that broadcasts over a
            row (such as one number for each channel).
        row_shape: the shape to give each row, before `cast`, `scale` and `shift`: an int or a
            tuple, without the number of rows; one entry may be -1.
        window: a row is one window over the first axes, of shape `(*window, *rest)`: an int, or a
            tuple of one for each of these axes. Row i is the i-th that
            `numpy.lib.stride_tricks.sliding_window_view` has, in C order of the positions. No
            window reaches over the end of a file. Windows are neither copied nor listed.
        stride: the step from one window to the next: an int for all axes of the window, or a tuple
            of one for each. Default: 1.
        rows: a slice of the rows (of the windows, if there are), with a step of at least 1. The
            option `rows` of `npyfast.dataset` is for all leaves, this one for the leaf alone.

    Returns:
        A `Source`. Patterns and directories are expanded now; files are opened when it is used.

    Warns:
        UserWarning: a list of paths is sorted as text but not naturally (`part-10` before
            `part-2`), so that labels made by the numbers would be wrong; an array in memory holds
            nothing but names of files, which a list of paths should.

    Raises:
        FileNotFoundError: a pattern or directory without files.
        ValueError: a pattern or directory in which a file of a set is missing
            (`part-00001-of-00003.npy`), or files of two are; an option's value; options that
            cannot be combined. When it is used: an option that does not fit the files; a key that
            does not exist; a compressed `.npz` that does not fit in memory; a raw file whose size
            does not divide; a `row_shape` of another size; an array smaller than its
            window.
        TypeError: not a path, a list of paths or an array. When it is used: Python objects, or a
            dtype that cannot be cast.
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

        Windows of a series, with what follows each one, and tiles of an image:

        >>> series = np.arange(6)
        >>> x = npyfast.source(series, window=3, rows=slice(None, -1))
        >>> y = npyfast.source(series, rows=slice(3, None))
        >>> [(a.tolist(), b.tolist()) for a, b in npyfast.batches((x, y), 2)]
        [([[0, 1, 2], [1, 2, 3]], [3, 4]), ([[2, 3, 4]], [5])]
        >>> np.save("image.npy", np.zeros((512, 768, 3), np.uint8))
        >>> npyfast.open(npyfast.source("image.npy", window=(256, 256), stride=128)).shape
        (15, 256, 256, 3)
    """
    make_per_file(per_file)
    if key is not None and not isinstance(key, str):
        raise ValueError(f"key must be None or a str, got {shown(key)}")
    raw = [name for name, given in (("shape", shape is not None), ("offset", offset != 0)) if given]
    if dtype is None and raw:
        raise ValueError(f"{raw[0]} is for raw binary data: give dtype=... as well")
    if dtype is not None:
        raw.insert(0, "dtype")
    chosen = ["per_file"] * (per_file is not None) + ["key"] * (key is not None) + raw[:1]
    if len(chosen) > 1:
        raise ValueError(
            f"{chosen[0]} and {chosen[1]} cannot be combined: per_file is for .npy files of one "
            "row each, key is for .npz and HDF5 files, dtype is for raw binary data (with shape "
            "and offset)"
        )
    layout = None if dtype is None else Layout.make(dtype, shape, offset)
    file_options = FileOptions(per_file, key, layout)
    new = None if row_shape is None else make_shape("row_shape", row_shape)
    row_options = RowOptions(cast, scale, shift, new)
    view = RowView.make(window, stride, rows)
    path = as_array(path)
    if isinstance(path, np.ndarray) or is_array_like(path):
        if chosen:
            raise ValueError(
                f"{chosen[0]} is for files, not for "
                + ("an array in memory" if isinstance(path, np.ndarray) else shown(path))
            )
        return _of_array(cast_type("AnyArray | ArrayLike", path), row_options, view)
    files = _files(path, file_options)
    listed = isinstance(path, list) and list(files) == [os.fsdecode(os.fspath(p)) for p in path]
    if listed:
        warn_of_text_order(files)
    if per_file is not None:
        files, view = _files_of_rows(files, view), PLAIN
    return Source(files, None, file_options, row_options, view, listed=listed)


def _of_array(array: AnyArray | ArrayLike, row_options: RowOptions, view: RowView) -> Source:
    """The source of an array that the caller holds."""
    if not isinstance(array, np.ndarray):
        return Source((), None, None, row_options, view, array_like=array)
    if np.ma.is_masked(array):
        raise TypeError(
            f"an array in memory of shape {array.shape} has masked items, which have no value: "
            "pass array.filled(...)"
        )
    mapped = mapped_rows(array)
    if mapped is not None:
        located = FileOptions(located=mapped.located)
        return Source((mapped.path,), None, located, row_options, view, listed=True)
    check_not_names(array)
    return Source((), array, None, row_options, view)


def make_per_file(per_file: Literal["row"] | None) -> Literal["row"] | None:
    """The option `per_file`."""
    if per_file is not None and not (isinstance(per_file, str) and per_file == "row"):
        raise ValueError(f"per_file must be None or 'row', got {shown(per_file)}")
    return per_file


def _files(path: object, options: FileOptions) -> tuple[str, ...]:
    """The files that a leaf stands for."""
    paths: list[Any] = path if isinstance(path, list) else [path]
    if not paths or not all(isinstance(item, (str, os.PathLike)) for item in paths):
        if isinstance(path, list) and paths:
            raise TypeError(f"a list of paths holds something else: {shown(path)}")
        raise TypeError(f"a path, a list of paths or an array is needed, not {shown(path)}")
    if options.layout is not None:
        for item in paths:
            if os.path.isdir(item):
                raise ValueError(
                    printable(
                        f"{os.fspath(item)}: is a directory, and any file in it could be raw "
                        f"data: pass a pattern, such as '{os.path.join(os.fspath(item), '*.bin')}'"
                    )
                )
    found = expand_all(paths, npy_are_files=options.per_file is not None)
    if options.per_file is None:
        check_sets(found, {os.fsdecode(os.fspath(item)) for item in paths})
    return tuple(found)


def _files_of_rows(files: tuple[str, ...], view: RowView) -> tuple[str, ...]:
    """Of files of one row each, those that a view leaves."""
    if view.window:
        raise ValueError(
            "window and per_file cannot be combined: a window is part of one array, and each file "
            "is one row; npyfast pack makes one array of them"
        )
    left = files[view.start : view.stop : view.step]
    if not left:
        raise ValueError(f"rows leaves none of the {len(files):,} files of one row each")
    return left


def as_source(leaf: object) -> Source:
    """The Source that a leaf of a nest stands for."""
    if isinstance(leaf, Source):
        return leaf
    leaf = as_array(leaf)
    if isinstance(leaf, np.ndarray) or is_array_like(leaf):
        return source(cast_type("ArrayLike", leaf))
    if isinstance(leaf, (str, os.PathLike)) or (
        isinstance(leaf, list) and leaf and isinstance(leaf[0], (str, os.PathLike))
    ):
        return source(leaf)
    hint = ""
    if isinstance(leaf, list):
        hint = "; several arrays are a tuple or a dict, not a list"
        if leaf and _are_numbers(leaf):
            hint = f"; np.asarray(...) makes an array of it{hint}"
    raise TypeError(f"a source is {LEAVES}, or a tuple or dict of them; got {shown(leaf)}{hint}")


def _are_numbers(values: list[Any]) -> bool:
    try:
        return np.asarray(values).dtype.kind in "biufc"
    except ValueError:  # arrays of different shapes
        return False
