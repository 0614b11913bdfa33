"""What Keras takes: the nests, and the element types of its backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from npyfast._backends.cast import bfloat16, is_bfloat16
from npyfast._nest import Nest, leaves, map_nest

_ADVICE = (
    "convert the array and save it again, pass npyfast.source(..., cast=...), or convert each "
    "batch by keras_dataset(..., transform=...)"
)


class Elements:
    """Checks and converts elements for one of Keras' backends."""

    def __init__(self, backend: str) -> None:
        self._backend = backend  # "tensorflow", "jax", "torch"

    def check(self, structure: Nest) -> None:
        """Raises TypeError or ValueError unless Keras takes this nest of columns."""
        _check_nest(structure)
        columns = list(leaves(structure))
        if not columns:
            raise TypeError("the source has no arrays for Keras: its dtype is without fields")
        for column in columns:
            self._check_dtype(column.dtype, column.name)

    def made(self, element: Nest) -> Nest:
        """What a transform returned, once it is checked; V2 becomes bfloat16."""
        _check_nest(element)
        return map_nest(self._made, element)

    def _made(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        self._check_dtype(value.dtype, "the transform's result")
        return as_bfloat16(value)

    def _check_dtype(self, dtype: np.dtype[Any], name: str) -> None:
        if is_bfloat16(dtype) or (dtype.kind == "V" and dtype.type is not np.void):
            return  # a type of another package
        lacking = {("torch", "uint64"): "PyTorch's backend"}.get((self._backend, dtype.name))
        if lacking is None and (dtype.kind not in "biufc" or dtype.char in "gG"):
            lacking = "Keras"
        if lacking is not None:
            raise TypeError(f"{name}: {lacking} has no type for {dtype}: {_ADVICE}")


def as_bfloat16(array: Any) -> Any:
    """The array; with the type that NumPy lacks if it holds bfloat16 as V2."""
    return array.view(bfloat16()) if is_bfloat16(array.dtype) else array


def needs_view(structure: Nest) -> bool:
    """Whether any column is bfloat16."""
    return any(is_bfloat16(column.dtype) for column in leaves(structure))


def _check_nest(nest: Nest) -> None:
    if isinstance(nest, tuple) and len(nest) not in (1, 2, 3):
        raise ValueError(
            f"Keras takes (inputs,), (inputs, targets) or (inputs, targets, sample_weights), got "
            f"a tuple of {len(nest)}: several inputs are one tuple or dict, as in ((a, b), y)"
        )
