"""How rows of a dtype are delivered: in native byte order, and one array for each field."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from npyfast._nest import Nest, map_nest

AnyArray = npt.NDArray[Any]


class Column:
    """One output array: its dtype, the shape of a row, and its name in error messages."""

    def __init__(
        self, dtype: np.dtype[np.generic], shape: tuple[int, ...], name: str = "an array"
    ) -> None:
        self.dtype = dtype
        self.shape = shape
        self.name = name


# Levels of nested structures in a dtype, and fields of all of them. No header has room for more.
_MOST_LEVELS = 100
_MOST_FIELDS = 100_000


def check_nesting(dtype: np.dtype[Any]) -> None:
    """Raises ValueError for a dtype of an array in memory that has so many levels or fields that
    walking them would exhaust this process."""
    level = [(dtype, 1)]
    fields = 0
    for _ in range(_MOST_LEVELS):
        # A structure that is used several times counts each time, but is walked once.
        found: dict[int, tuple[np.dtype[Any], int]] = {}
        for outer, times in level:
            inner = [entry[0] for entry in (outer.fields or {}).values()]
            if outer.subdtype is not None:
                inner = [outer.subdtype[0]]
            for each in inner:
                found[id(each)] = (each, found.get(id(each), (each, 0))[1] + times)
        level = list(found.values())
        fields += sum(times for _, times in level)
        if not level:
            return
        if fields > _MOST_FIELDS:
            raise ValueError(f"the dtype has more than {_MOST_FIELDS:,} fields in all")
    raise ValueError(f"the dtype is nested more than {_MOST_LEVELS} levels deep")


def native(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The dtype in this machine's byte order, field by field."""
    return dtype.newbyteorder("=")


def columns(dtype: np.dtype[Any], row_shape: tuple[int, ...], name: str = "an array") -> Nest:
    """The columns of rows of a dtype: one, or a dict of them for a structured dtype. `name` is the
    name of the rows in error messages.

    A field of a structured dtype is a dict in turn; the shape of a sub-array field is appended.
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return columns(base, row_shape + shape, name)
    if dtype.names is not None:
        return {
            field: columns(dtype[field], row_shape, f"{name}[{field!r}]") for field in dtype.names
        }
    return Column(native(dtype), row_shape, name)


def to_native(array: AnyArray) -> AnyArray:
    """The same items in native byte order; the array itself if it has that already."""
    wanted = native(array.dtype)
    if array.dtype == wanted:
        return array
    # NumPy swaps times without a unit (">m8") neither in astype nor in fancy assignments.
    swapped: AnyArray = np.ndarray(array.shape, wanted)
    swapped[...] = array
    return swapped


def split(array: AnyArray) -> Nest:
    """An array of rows as its columns, dense and in native byte order."""
    if array.dtype.names is not None:
        return {name: split(array[name]) for name in array.dtype.names}
    if array.dtype.itemsize == 0:  # ascontiguousarray makes "S1" of "S0"
        return np.ndarray(array.shape, native(array.dtype))
    return np.ascontiguousarray(to_native(array))


def split_nest(nest: Nest) -> Nest:
    """`split` for every leaf of a nest of arrays."""
    return map_nest(split, nest)
