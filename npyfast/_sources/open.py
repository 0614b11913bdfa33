"""Opens the nest of sources that `dataset`, `batches` and `split` take."""

from __future__ import annotations

from npyfast._backends.interface import OpenedLeaf
from npyfast._nest import Nest, leaves, map_nest
from npyfast._sources.file_order import warn_of_natural_order
from npyfast._sources.files import inflate_together, open_npy
from npyfast._sources.hints import Named, no_array_hint, unequal_rows
from npyfast._sources.opening import Opening
from npyfast._sources.source import LEAVES, Source, as_source


def open_nest(nest: Nest, *, map_now: bool = True) -> tuple[Nest, list[OpenedLeaf], list[str]]:
    """Opens every leaf of a nest of sources; returns the nest of opened leaves, then those leaves
    and their names, in order. Without `map_now`, files are mapped when they are first read.

    Raises ValueError naming two leaves that differ in their number of rows.
    """
    given = leaves(nest)
    sources = map_nest(as_source, nest)
    with Opening(map_now=map_now) as opening:
        if map_now:
            every = list(leaves(sources))
            inflate_together([(each.files, each.file_options) for each in every], opening)
        opened = map_nest(lambda source: _open_given(next(given), source, opening), sources)
    named = list(leaves(opened))
    if not named:
        raise ValueError(f"an empty {type(nest).__name__} has no rows; a source is {LEAVES}")
    first = named[0]
    for other in named:
        if len(other.leaf) != len(first.leaf):
            raise ValueError(unequal_rows(first, other))
    _warn_of_order(list(leaves(sources)))
    nest_of_leaves = map_nest(lambda each: each.leaf, opened)
    return nest_of_leaves, [each.leaf for each in named], [each.name for each in named]


def _warn_of_order(sources: list[Source]) -> None:
    """Warns if an array in memory may be in another order than the files beside it."""
    if any(source.memory is not None for source in sources):
        for source in sources:
            if source.file_options.per_file is not None and not source.listed:
                warn_of_natural_order(source.files, source.name)


def _open_given(given: Nest, source: Source, opening: Opening) -> Nest:
    """A leaf, opened. If its files do not form one array, the error says what to do."""
    try:
        return _open(source, source is given, opening)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        hint = no_array_hint(source, isinstance(given, list))
        raise ValueError(f"{str(error).removesuffix(hint)}{hint}") from None


def _open(source: Source, is_one_array: bool, opening: Opening) -> Nest:
    """A leaf, opened; the dict of all arrays if it is the path of `.npz` or HDF5 files and not a
    Source, which is one array."""
    keys = None
    if not is_one_array and source.memory is None and source.file_options.by_content:
        opened = open_npy(source.files, opening)
        if opened is not None:
            return Named(opened, source.name, source)
        keys = source.keys(opening)
    if keys == []:
        raise ValueError(f"{source.name}: holds no arrays")
    if keys is None:
        return Named(source.open(opening), source.name, source)
    arrays = {key: source.of_key(key) for key in keys}
    return {key: Named(array.open(opening), array.name, array) for key, array in arrays.items()}
