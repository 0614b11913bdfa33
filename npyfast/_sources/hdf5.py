"""HDF5 datasets as sources: mapped if they lie in their file unchanged, else read by h5py."""

from __future__ import annotations

from collections.abc import Sequence

from npyfast._backends import backend
from npyfast._backends.interface import OpenedLeaf
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._backends.viewed import ViewedLeaf
from npyfast._sources.hdf5_dataset import HDF5Dataset
from npyfast._sources.hdf5_file import find_dataset, keys_of, status_of
from npyfast._sources.hdf5_leaf import HDF5Leaf
from npyfast._sources.opening import Opening


def keys(path: str, opening: Opening) -> list[str]:
    """The paths of all datasets in a file."""
    with opening.hdf5(path) as file:
        return keys_of(file)


def look(path: str, key: str, opening: Opening) -> HDF5Dataset:
    """Looks at a dataset. Raises as open() does for it."""
    with opening.hdf5(path) as file:
        status = status_of(file, path)
        return HDF5Dataset(path, key, find_dataset(file, path, key), status)


def open(files: Sequence[str], key: str, opening: Opening, view: RowView) -> OpenedLeaf:
    """The rows of a dataset, or of one in each of several files, which are concatenated.

    Mapped if every dataset lies in its file unchanged; else read by h5py, with a warning. Raises
    ImportError without h5py, NpyFormatError if a file is not HDF5, ValueError if there is no such
    dataset or the files do not fit together, TypeError for Python objects.
    """
    found = [look(path, key, opening) for path in files]
    for dataset in found:
        view.check_fits(dataset.name, dataset.shape)
        _check_alike("dtype", found[0], found[0].dtype, dataset, dataset.dtype)
        shapes = (view.row_shape(each.shape) for each in (found[0], dataset))
        _check_alike("row shape", found[0], next(shapes), dataset, next(shapes))
    located = [dataset.located for dataset in found if dataset.located is not None]
    if len(located) == len(found):
        return backend().open(files, located, map_now=opening.map_now, view=view)
    for dataset in found:
        dataset.warn()
        opening.close_hdf5(dataset.path)  # HDF5 would share the open file with the leaf
    return HDF5Leaf(found) if view == PLAIN else ViewedLeaf(HDF5Leaf(found), view)


def _check_alike(
    what: str, first: HDF5Dataset, expected: object, other: HDF5Dataset, found: object
) -> None:
    if found != expected:
        raise ValueError(
            f"the files of one array must have one {what}: {first.name} has {expected}, "
            f"{other.name} has {found}"
        )
