"""Arrays of other packages: what they are to npyfast."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from npyfast._errors import shown


@runtime_checkable
class ArrayLike(Protocol):
    """What a leaf may be besides files and NumPy arrays: an object with rows along its first axis.

    `zarr.Array`, `h5py.Dataset`, `tensorstore.TensorStore` and `dask.array.Array` are such objects;
    so is any class of your own with these three members. npyfast reads it in Python, by one request
    for each batch.

    If it has an attribute `chunks`, a tuple of ints, `shuffle="block"` reads whole chunks of
    `chunks[0]` rows.

    Example:
        >>> import numpy as np, npyfast
        >>> class Squares:
        ...     shape, dtype = (1000,), np.dtype("int64")
        ...     def __getitem__(self, rows):
        ...         return np.arange(1000)[rows] ** 2
        >>> isinstance(Squares(), npyfast.ArrayLike)
        True
        >>> next(iter(npyfast.batches(Squares(), batch_size=4)))
        array([0, 1, 4, 9])
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first. It must not change."""

    @property
    def dtype(self) -> Any:
        """A NumPy dtype, or what `np.dtype` takes."""

    def __getitem__(self, rows: Any, /) -> Any:
        """The rows of a slice (begin, end, without a step), or of an increasing array of int64, as
        something that `np.asarray` takes. An object that refuses the array is asked for slices."""


# What objects have whose items are in memory, in contrast to those of HDF5, Zarr and the like.
_IN_MEMORY = ("__array_interface__", "__array_struct__", "__dlpack__", "to_numpy", "numpy")


def as_array(value: Any) -> Any:
    """A NumPy array of an object that holds its items in memory, such as a pandas Series or a
    tf.Tensor; anything else as it is.

    Raises TypeError if it does not become one.
    """
    known = (np.ndarray, np.generic, type, str, bytes)
    if isinstance(value, known) or not hasattr(value, "__array__"):
        return value
    if is_array_like(value) and not any(hasattr(value, name) for name in _IN_MEMORY):
        return value
    try:
        return np.asarray(value)
    except Exception as error:
        raise TypeError(
            f"{shown(value)} cannot be made a NumPy array ({error}): pass the array itself"
        ) from error


def is_array_like(value: object) -> bool:
    """Whether a value is to be read through its `__getitem__`."""
    if isinstance(value, (np.ndarray, np.generic, type, str, bytes)):
        return False
    return isinstance(value, ArrayLike)
