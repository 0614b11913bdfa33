"""Nests: tuples and dicts of leaves, as `tf.data.Dataset.from_tensor_slices` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

# A leaf, or a tuple or dict of nests.
Nest: TypeAlias = Any


# Far deeper than any real nest, and shallow enough for code that walks nests by recursion, such as
# TensorFlow.
MAX_DEPTH = 200


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(
            f"a nest is more than {MAX_DEPTH} tuples and dicts deep, or contains itself"
        )


def map_nest(function: Callable[[Any], Any], nest: Nest, _depth: int = 0) -> Nest:
    """The same nest with `function(leaf)` for every leaf. Raises ValueError if it is too deep, or
    contains itself."""
    _check_depth(_depth)
    if isinstance(nest, dict):
        return {key: map_nest(function, value, _depth + 1) for key, value in nest.items()}
    if isinstance(nest, tuple):
        mapped = [map_nest(function, value, _depth + 1) for value in nest]
        # A namedtuple takes its fields one by one.
        return type(nest)(*mapped) if hasattr(nest, "_fields") else tuple(mapped)
    return function(nest)


def leaves(nest: Nest, _depth: int = 0) -> Iterator[Any]:
    """The leaves, from left to right; those of a dict in insertion order. Raises ValueError if the
    nest is too deep, or contains itself."""
    _check_depth(_depth)
    if isinstance(nest, dict):
        nest = tuple(nest.values())
    if isinstance(nest, tuple):
        for value in nest:
            yield from leaves(value, _depth + 1)
    else:
        yield nest


def pack(nest: Nest, flat: Sequence[Any]) -> Nest:
    """The same nest with the items of `flat` for its leaves, in the order of `leaves`."""
    items = iter(flat)
    return map_nest(lambda _: next(items), nest)


def packer(nest: Nest) -> Callable[..., Nest] | None:
    """A function of the flat items that packs them; None if the items are already packed, for a
    single leaf and for a flat tuple."""
    if not isinstance(nest, (tuple, dict)):
        return None
    if type(nest) is tuple and not any(isinstance(value, (tuple, dict)) for value in nest):
        # A tuple of one item differs from a single leaf.
        return None if len(nest) != 1 else lambda *flat: flat
    return lambda *flat: pack(nest, flat)
