"""Tensors that share the memory of arrays. Imports PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from npyfast._backends.cast import is_bfloat16
from npyfast._backends.fields import AnyArray, Column, to_native
from npyfast._nest import Nest, leaves, map_nest


def check_types(structure: Nest) -> None:
    """Raises TypeError naming the first array whose dtype PyTorch lacks."""
    for column in leaves(structure):
        _check(column)


def _check(column: Column) -> None:
    dtype = column.dtype
    if not _is_known(dtype):
        raise TypeError(f"{column.name}: PyTorch has no type for {dtype}: {_way_out(dtype)}")


def _is_known(dtype: np.dtype[Any]) -> bool:
    try:
        tensor(np.ndarray(0, dtype))
    except TypeError:
        return False
    return True


def _way_out(dtype: np.dtype[Any]) -> str:
    if dtype.char == "g" or dtype.kind == "u":
        to = "float64" if dtype.char == "g" else "int64"
        return f"pass npyfast.source(path, cast={to!r}) in its place"
    if dtype.char == "G":
        return "convert the array and save it again, array.astype('complex128')"
    if dtype.kind in "mM":
        return (
            "save it as numbers, array.astype('int64'), or make these of each batch by "
            "torch_dataset(..., transform=...)"
        )
    if dtype.kind in "SU":
        return (
            "save numbers that stand for the strings, np.unique(array, return_inverse=True)[1], or "
            "make these of each batch by torch_dataset(..., transform=...)"
        )
    return (
        "convert the array and save it again, or convert each batch by torch_dataset(..., "
        "transform=...)"
    )


def tensor(array: AnyArray) -> torch.Tensor:
    """A tensor of the array's memory. Raises TypeError if PyTorch has no such type."""
    if is_bfloat16(array.dtype):
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def tensors(element: Nest) -> Nest:
    """An element of a source with tensors of its arrays."""
    return map_nest(tensor, element)


def transformed_tensors(element: Nest) -> Nest:
    """A transform's result with tensors of its arrays; what is no array stays as it is."""
    return map_nest(_tensor_of_any, element)


def _tensor_of_any(value: Any) -> Any:
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    if np.ma.is_masked(value):
        raise TypeError("the transform returned masked items: return array.filled(...)")
    array = to_native(np.asarray(value))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy(order="C")  # of others PyTorch makes no tensor, or warns
    try:
        return tensor(array)
    except (TypeError, ValueError):
        raise TypeError(
            f"the transform returned {array.dtype}: PyTorch has no type for it"
        ) from None
