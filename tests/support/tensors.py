"""Comparing a tf.data.Dataset with the arrays that it must give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from expected import Array, element, same_bits


def has_tensor_type(dtype: np.dtype[Any]) -> bool:
    """Whether TensorFlow has a type for every field."""
    if dtype.subdtype is not None:
        return has_tensor_type(dtype.subdtype[0])
    if dtype.names is not None:
        return all(has_tensor_type(dtype[name]) for name in dtype.names)
    return dtype.char not in "gG" and (dtype.char != "V" or dtype.itemsize == 2)


def as_tensor_has_it(array: Array) -> Array:
    """What TensorFlow makes of an array: text is UTF-8, times are their int64, two bytes of
    no type a bfloat16."""
    if array.dtype.kind == "U" and array.size == 0:
        return array.astype(object)  # NumPy 1 encodes nothing as floats, and forgets the shape
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
    if array.dtype.kind == "S":
        return array.astype(object)
    if array.dtype.kind in "mM":
        return array.view(np.int64)
    if array.dtype == np.dtype("V2"):
        return array.view(tf.bfloat16.as_numpy_dtype)
    return array


def assert_same(actual: Any, expected: Any) -> None:
    """The same nest; each tensor of the type, shape and bits that the array has."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict)
        assert sorted(actual) == sorted(expected)
        for key in expected:
            assert_same(actual[key], expected[key])
    elif isinstance(expected, tuple):
        assert isinstance(actual, tuple)
        assert getattr(actual, "_fields", None) == getattr(expected, "_fields", None)
        assert len(actual) == len(expected)
        for a, b in zip(actual, expected, strict=True):
            assert_same(a, b)
    else:
        assert isinstance(actual, tf.Tensor)
        array, wanted = actual.numpy(), as_tensor_has_it(expected)
        assert array.shape == wanted.shape
        assert array.dtype == wanted.dtype
        assert (
            array.tolist() == wanted.tolist() if array.dtype == object else same_bits(array, wanted)
        )


def assert_same_dataset(dataset: Any, source: Any, rows_of_batches: Iterable[Array]) -> None:
    """A pass over the dataset gives exactly these rows of a nest of whole arrays."""
    tensors = iter(dataset)
    for rows in rows_of_batches:
        assert_same(next(tensors), element(source, rows))
    assert next(tensors, None) is None, "a batch too many"


def engine_of(dataset: Any) -> str:
    """The engine of a dataset, as its graph tells."""
    graph = dataset._as_serialized_graph().numpy()
    graph_ops, generator_ops = b"NpyfastBatch" in graph, b"PyFunc" in graph
    assert graph_ops != generator_ops
    return "graph" if graph_ops else "generator"


def rows_of(batches: Iterable[Any]) -> list[list[int]]:
    """Batches of vectors as lists."""
    return [np.asarray(batch).tolist() for batch in batches]
