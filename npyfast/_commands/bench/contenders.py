"""The ways to read an array that are compared."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import npyfast._batches.batches as batches_module
from npyfast._backends.interface import OpenedLeaf
from npyfast._engines.dataset import dataset
from npyfast._engines.tensors import import_tensorflow
from npyfast._sources.source import Source

_MOST_MAPS = 256
_MOST_IN_MEMORY = 2 << 30
_MOST_SHUFFLED = 500_000


@dataclass(frozen=True)
class Way:
    """One way to read the array."""

    name: str
    begin: Callable[[], Iterator[Any]] | None  # endless batches
    reason: str | None = None  # why it is left out


def ways(source: Source, leaf: OpenedLeaf, batch_size: int, fits: bool) -> list[Way]:
    """All of them, and why some are left out."""
    size = min(batch_size, max(1, len(leaf)))
    options: Any = {"shuffle": True, "seed": 0, "epochs": -1}
    made = [Way("npyfast.batches", lambda: iter(batches_module.batches(source, size, **options)))]
    numpy = _over_memmap(leaf, size)
    if importlib.util.find_spec("tensorflow") is None:
        missing = "TensorFlow is not installed"
        names = ("npyfast.dataset, graph", "npyfast.dataset, generator", "from_generator, memmap")
        left_out = [Way(name, None, missing) for name in (*names, "from_tensor_slices")]
        return [*made, *left_out, Way("NumPy, memmap", *numpy)]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    engines = ("graph", "generator")
    return [
        *made,
        *(Way(f"npyfast.dataset, {e}", *_dataset(source, size, e, options)) for e in engines),
        Way("from_generator, memmap", *_from_generator(leaf, size, numpy)),
        Way("from_tensor_slices", *_slices(leaf, size, fits)),
        Way("NumPy, memmap", *numpy),
    ]


_Begin = tuple[Callable[[], Iterator[Any]] | None, str | None]


def _dataset(source: Source, size: int, engine: Any, options: Any) -> _Begin:
    try:
        made = dataset(source, size, engine=engine, **options)
    except (ValueError, TypeError, ImportError) as error:
        return None, str(error)
    return lambda: iter(made), None


def _over_memmap(leaf: OpenedLeaf, size: int) -> _Begin:
    """`np.load(path, mmap_mode="r")[rows]`, as people write it."""
    paths = [os.fsdecode(path) for path, _ in leaf.parts()]
    if leaf.storage.kind != "mapped" or not all(path.endswith(".npy") for path in paths):
        return None, "it is not made of .npy files that hold an array each"
    if len(paths) > _MOST_MAPS:
        return None, f"{len(paths):,} files are too many to be mapped at once"
    if leaf.dtype.names:
        return None, "its rows are structures"
    maps = [np.load(path, mmap_mode="r") for path in paths]
    starts = np.cumsum([0, *(len(each) for each in maps)])
    convert = _converter(leaf)

    def batches() -> Iterator[Any]:
        draw = np.random.default_rng(0)
        while True:
            order = draw.permutation(len(leaf))
            for first in range(0, len(order) - size + 1, size):
                rows = order[first : first + size]
                if len(maps) == 1:
                    yield convert(maps[0][rows])
                    continue
                files = np.searchsorted(starts, rows, side="right") - 1
                found = [
                    maps[file][row - starts[file]] for file, row in zip(files, rows, strict=True)
                ]
                yield convert(np.stack(found))

    return batches, None


def _converter(leaf: OpenedLeaf) -> Callable[[Any], Any]:
    """What the cast of the source does, by NumPy."""
    cast = leaf.cast

    def convert(batch: Any) -> Any:
        batch = batch.reshape(len(batch), *leaf.row_shape)
        if cast is None:
            return batch.astype(leaf.dtype, copy=False)
        batch = batch.astype(cast.dtype)
        if cast.scale is not None:
            batch = batch * np.asarray(cast.scale, cast.dtype)
        return batch if cast.shift is None else batch + np.asarray(cast.shift, cast.dtype)

    return convert


def _from_generator(leaf: OpenedLeaf, size: int, numpy: _Begin) -> _Begin:
    begin, reason = numpy
    if begin is None:
        return None, reason
    tf = import_tensorflow()
    try:
        spec = tf.TensorSpec((size, *leaf.row_shape), tf.as_dtype(leaf.dtype))
    except TypeError:
        return None, f"TensorFlow has no type for {leaf.dtype}"
    made = tf.data.Dataset.from_generator(begin, output_signature=spec).prefetch(tf.data.AUTOTUNE)
    return lambda: iter(made), None


def _slices(leaf: OpenedLeaf, size: int, fits: bool) -> _Begin:
    nbytes = len(leaf) * leaf.dtype.itemsize * int(np.prod(leaf.row_shape, dtype=np.int64))
    if not fits or nbytes > _MOST_IN_MEMORY:
        return None, "it needs the whole array in memory, several times"
    if len(leaf) > _MOST_SHUFFLED:
        return None, f"filling a shuffle buffer with {len(leaf):,} rows takes too long"

    def begin() -> Iterator[Any]:
        tf = import_tensorflow()
        array = leaf.take(np.arange(len(leaf)), None)
        made = tf.data.Dataset.from_tensor_slices(array).shuffle(len(leaf)).repeat()
        return iter(made.batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE))

    return begin, None
