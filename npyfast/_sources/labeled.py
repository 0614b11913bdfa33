"""`npyfast.labeled`: a folder for each class, as Keras reads images."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from npyfast._errors import printable
from npyfast._options import make_shape
from npyfast._sources.file_sets import check_sets
from npyfast._sources.files import FileOptions
from npyfast._sources.paths import Path, expand
from npyfast._sources.source import RowOptions, Source, make_per_file


@dataclass(frozen=True, eq=False, repr=False)
class Labeled:
    """The samples of folders of classes, which `npyfast.labeled` returns.

    Attributes:
        source: all samples, one class after the other, as a leaf for `npyfast.dataset`.
        labels: the class of each sample: an int64 array with an index of `class_names` for each
            row of `source`.
        class_names: the names of the folders, sorted as
            `keras.utils.image_dataset_from_directory` sorts them.
    """

    source: Source
    labels: npt.NDArray[np.int64]
    class_names: list[str]

    def __repr__(self) -> str:
        return (
            f"npyfast.Labeled({len(self.labels):,} samples of {len(self.class_names):,} classes: "
            f"{self.source.name})"
        )


def labeled(
    directory: Path,
    *,
    per_file: Literal["row"] | None = "row",
    cast: npt.DTypeLike | None = None,
    scale: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    row_shape: int | Sequence[int] | None = None,
) -> Labeled:
    """Samples in a folder for each class, such as `root/cats/*.npy` and `root/dogs/*.npy`.

    Each sample gets the label of the folder that its file is in, so samples and labels cannot be
    confused. Hidden files and folders are ignored.

    Args:
        directory: the folder that holds the folders of the classes. Other files in it are ignored,
            except for `.npy` files, which belong to no class.
        per_file: "row": each file is one sample, and all have the same dtype and shape. None: each
            file holds several samples along axis 0, which may differ in number.
        cast, scale, shift, row_shape: as in `npyfast.source`.

    Returns:
        `Labeled`: `source` for `npyfast.dataset`, `labels` (int64, one for each row) and
        `class_names`. Classes come in the order of `sorted()`, the files of a class in natural
        order: `part-2` before `part-10`.

    Raises:
        FileNotFoundError: no folder of that name, no class in it, or a class without `.npy` files.
        ValueError: a `.npy` file beside the folders of the classes; a folder of a class that holds
            anything but `.npy` files; classes of different shapes or dtypes; an option's value.
        NpyFormatError: a file is not a readable `.npy`.

    Example:
        >>> import os, numpy as np, npyfast
        >>> for name in ("cats", "dogs"):
        ...     os.makedirs(f"root/{name}")
        ...     for number in range(3):
        ...         np.save(f"root/{name}/{number}.npy", np.zeros((28, 28), np.uint8))
        >>> found = npyfast.labeled("root")
        >>> found.class_names, found.labels
        (['cats', 'dogs'], array([0, 0, 0, 1, 1, 1]))
        >>> ds = npyfast.batches((found.source, found.labels), 32, shuffle=True)
    """
    file_options = FileOptions(make_per_file(per_file))
    shape = None if row_shape is None else make_shape("row_shape", row_shape)
    row_options = RowOptions(cast, scale, shift, shape)
    root = os.fsdecode(os.fspath(directory))
    names = _classes(root)
    files = [_samples(os.path.join(root, name), file_options) for name in names]

    def source_of(some: Sequence[str]) -> Source:
        # Listed: the labels are made from these files.
        return Source(tuple(some), file_options=file_options, row_options=row_options, listed=True)

    source = source_of([path for each in files for path in each])
    if file_options.per_file is not None:
        counts = [len(each) for each in files]
        # Files are not opened before they are read. Most often whole classes differ.
        stored = source_of([each[0] for each in files]).open()
        stored.take(np.arange(len(names)), None)
    else:
        rows = {os.fsdecode(path): count for path, count in source.open().parts()}
        counts = [sum(rows.get(path, 0) for path in each) for each in files]
    labels = np.repeat(np.arange(len(names), dtype=np.int64), counts)
    return Labeled(source, labels, names)


def _classes(root: str) -> list[str]:
    """The names of the folders of the classes."""
    names, stray = [], []
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                names.append(entry.name)
            elif entry.name.endswith(".npy"):
                stray.append(entry.name)
    if stray and not names:
        raise FileNotFoundError(
            errno.ENOENT,
            "has .npy files but no folder for each class; npyfast.source(directory) reads them",
            root,
        )
    if stray:
        raise ValueError(
            printable(
                f"{os.path.join(root, min(stray))}: lies beside the folders of the classes, so it "
                f"has no label ({len(stray):,} such files): move it into one of them"
            )
        )
    if not names:
        raise FileNotFoundError(errno.ENOENT, "has no folders, one for each class", root)
    return sorted(names)


def _samples(folder: str, options: FileOptions) -> list[str]:
    """The files of a class."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or (entry.name.endswith(".npy") and not entry.is_dir()):
                continue
            kind = "a folder" if entry.is_dir() else "not a .npy file"
            raise ValueError(
                printable(
                    f"{entry.path}: is {kind}, and the folder of a class holds the .npy files of "
                    "its samples only: move it elsewhere"
                )
            )
    try:
        files = expand(folder)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT, "the class has no .npy files: remove its folder, or fill it", folder
        ) from None
    if options.per_file is None:
        check_sets(files, set())
    return files
