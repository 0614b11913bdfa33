"""Hypothesis strategies: sources, and the options of `batches` and `dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import expected
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from samples import dtypes, in_order, random_array

import npyfast

Draw = Any

# A leaf is its whole array, and where npyfast is to read it from: one with the other makes a nest.
Leaf = tuple[Any, Any]


class Pair(NamedTuple):
    first: Any
    second: Any


@st.composite
def padded_dtypes(draw: Draw, fields: st.SearchStrategy[np.dtype[Any]]) -> np.dtype[Any]:
    """Structures with gaps between their fields and behind them, or aligned as C has them."""
    formats = draw(st.lists(fields, min_size=1, max_size=3))
    names = [f"f{i}" for i in range(len(formats))]
    if draw(st.booleans()):
        return np.dtype({"names": names, "formats": formats}, align=True)
    offsets, end = [], 0
    for each in formats:
        offsets.append(end + draw(st.integers(0, 5)))
        end = offsets[-1] + each.itemsize
    itemsize = end + draw(st.integers(0, 5))
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})


def file_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Every dtype that a file can have, nested structures and sub-arrays among them."""
    plain = st.one_of(
        # NumPy itself can't load what takes no bytes, unless it is a field.
        st.sampled_from([dtype for dtype in dtypes() if dtype.itemsize]),
        hnp.scalar_dtypes(),
        hnp.byte_string_dtypes(max_len=9),
        hnp.unicode_string_dtypes(max_len=9),
        st.integers(1, 9).map(lambda size: np.dtype(f"V{size}")),
    )
    nested = hnp.nested_dtypes(plain, max_leaves=5, max_itemsize=400)
    made = st.one_of(plain, nested, padded_dtypes(plain), padded_dtypes(nested))
    # A whole array of sub-arrays has their dimensions in its shape.
    return made.filter(lambda dtype: dtype.subdtype is None and dtype.itemsize > 0)


@st.composite
def leaves(
    draw: Draw, folder: Path, rows: int, kinds: list[np.dtype[Any]], memory: bool = True
) -> Leaf:
    """An array of so many rows, in files, or in memory where that is allowed."""
    dtype = draw(st.sampled_from(kinds))
    shape = draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    array = random_array(dtype, (rows, *shape), seed=draw(st.integers(0, 9)))
    if memory and draw(st.integers(0, 3)) == 0:
        steps = [slice(None, None, draw(st.sampled_from([1, -1, 2, -3]))) for _ in shape]
        view = in_order(array, draw(st.sampled_from("CF")))[::-1][(slice(None), *steps)]
        return view, view
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=4)))
    paths = []
    for shard in np.split(array, cuts):
        path = folder / f"{len(list(folder.iterdir()))}.npy"
        np.save(path, in_order(shard, draw(st.sampled_from("CF"))))
        paths.append(path)
    return array, paths if len(paths) > 1 else paths[0]


@st.composite
def nests(
    draw: Draw, folder: Path, rows: int, kinds: list[np.dtype[Any]], memory: bool = True
) -> Leaf:
    """A nest of arrays, and the same nest of sources."""
    count = draw(st.integers(1, 3))
    parts = [draw(leaves(folder, rows, kinds, memory)) for _ in range(count)]
    arrays, sources = zip(*parts, strict=True)
    shapes = [
        lambda p: p[0] if len(p) == 1 else {"b": p[0], "a": p[1:]},
        tuple,
        lambda p: dict(zip("zya", p, strict=False)),
        lambda p: ({"x": p[0], "deep": (p[-1],)}, p[0]),
        lambda p: Pair(p[0], (p[-1],)),
    ]
    shape = draw(st.sampled_from(shapes))
    return shape(arrays), shape(sources)


@st.composite
def subsets(draw: Draw, rows: int) -> Any:
    """A value of the option `rows`."""
    kind = draw(st.sampled_from(["all", "all", "slice", "list", "mask", "range", "split"]))
    if kind == "slice":
        return draw(st.slices(rows))
    if kind == "list" and rows:
        numbers = draw(st.lists(st.integers(-rows, rows - 1), max_size=40))
        return np.array(numbers, draw(st.sampled_from(["i8", "i2", ">i4"])))
    if kind == "mask":
        return np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), bool)
    if kind == "range":
        return range(*draw(st.slices(rows)).indices(rows)) if rows else range(0)
    if kind == "split":
        parts = npyfast.split(
            np.empty(rows), draw(st.floats(0, 1)), seed=draw(st.integers(0, 2**64 - 1))
        )
        part = parts[draw(st.integers(0, 1))]
        return draw(st.just(part) | st.slices(len(part)).map(part.__getitem__))
    return None


@st.composite
def options(draw: Draw, rows: int) -> dict[str, Any]:
    """Options that change which rows come, and when."""
    made: dict[str, Any] = {
        "batch_size": draw(st.integers(1, 12) | st.integers(1, 100)),
        "drop_remainder": draw(st.booleans()),
        "rows": draw(subsets(rows)),
        "start_epoch": draw(st.integers(0, 3) | st.integers(0, 2**62 - 1000)),
    }
    if draw(st.booleans()):
        count = draw(st.integers(1, 5))
        made["shard"] = (draw(st.integers(0, count - 1)), count)
    if draw(st.booleans()):
        made["seed"] = draw(st.integers(0, 2**64 - 1))
        if not isinstance(made["rows"], npyfast.RowSelection) and draw(st.booleans()):
            made["blocks"] = draw(st.tuples(st.integers(1, 20), st.integers(1, 100)))
    epochs = draw(st.none() | st.integers(1, 3) | st.just(-1))
    made["epochs"] = epochs
    if epochs is not None:
        one = expected.epoch_batches(
            rows,
            **{k: v for k, v in made.items() if k not in ("start_epoch", "epochs")},
        )
        made["start_batch"] = draw(st.integers(0, len(one)))
    return made


def given_options(made: dict[str, Any]) -> dict[str, Any]:
    """The same as arguments of npyfast."""
    given = {**made, "shuffle": "seed" in made}
    if "blocks" in given:
        given["shuffle"] = npyfast.BlockShuffle(*given.pop("blocks"))
    return given
