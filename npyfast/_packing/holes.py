"""The bytes of an item that belong to no field of its dtype: padding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from npyfast._backends.fields import AnyArray


class Hole(NamedTuple):
    """`size` bytes at `offset` that belong to no field, repeated along `axes`: pairs of a count and
    a stride in bytes.

    Repetitions are not written out: a header of 100 bytes may describe an item of 2^31 bytes.
    """

    offset: int
    axes: tuple[tuple[int, int], ...]
    size: int


def holes(dtype: np.dtype[Any]) -> Iterator[Hole]:
    """The holes of an item. REQUIRES: the fields of `dtype` do not overlap."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        count = math.prod(shape)
        for hole in holes(base) if count else ():
            yield hole if count == 1 else hole._replace(axes=((count, base.itemsize), *hole.axes))
    elif dtype.names is not None:
        fields = [entry[:2] for entry in (dtype.fields or {}).values()]
        end = 0
        for field, offset in sorted(fields, key=lambda entry: (entry[1], entry[0].itemsize)):
            if offset > end:
                yield Hole(end, (), offset - end)
            for hole in holes(field):
                yield hole._replace(offset=offset + hole.offset)
            end = offset + field.itemsize
        if end < dtype.itemsize:
            yield Hole(end, (), dtype.itemsize - end)


def clear(found: list[Hole], items: AnyArray, itemsize: int) -> None:
    """Sets the holes of all items to zero. `items` holds their bytes, dense."""
    for offset, axes, size in found:
        shape = (len(items) // itemsize, *(count for count, _ in axes), size)
        strides = (itemsize, *(stride for _, stride in axes), 1)
        np.ndarray(shape, np.uint8, items.data, offset, strides)[...] = 0
