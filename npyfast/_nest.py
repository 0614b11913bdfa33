"""Nests: tuples and dicts of leaves, as `tf.data.Dataset.from_tensor_slices` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

# A leaf, or a tuple or dict of nests.
Nest: TypeAlias = Any


def map_nest(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """The same nest with `function(leaf)` for every leaf."""
    if isinstance(nest, dict):
        return {key: map_nest(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple):
        mapped = [map_nest(function, value) for value in nest]
        # A namedtuple takes its fields one by one.
        return type(nest)(*mapped) if hasattr(nest, "_fields") else tuple(mapped)
    return function(nest)


def leaves(nest: Nest) -> Iterator[Any]:
    """The leaves, from left to right; a dict's in the order of its keys' insertion."""
    if isinstance(nest, dict):
        nest = tuple(nest.values())
    if isinstance(nest, tuple):
        for value in nest:
            yield from leaves(value)
    else:
        yield nest


def pack(nest: Nest, flat: Sequence[Any]) -> Nest:
    """The same nest with the items of `flat` for its leaves, in the order of `leaves`."""
    items = iter(flat)
    return map_nest(lambda _: next(items), nest)


def packer(nest: Nest) -> Callable[..., Nest] | None:
    """A function of the flat items that packs them, or None where that would change nothing: for a
    single leaf, and for a flat tuple."""
    if not isinstance(nest, (tuple, dict)):
        return None
    if type(nest) is tuple and not any(isinstance(value, (tuple, dict)) for value in nest):
        # A tuple of one is not the bare item that a single leaf is.
        return None if len(nest) != 1 else lambda *flat: flat
    return lambda *flat: pack(nest, flat)
