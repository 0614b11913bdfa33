"""`npyfast.describe`: what batches are made of, in words."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

from npyfast._backends.interface import OpenedLeaf
from npyfast._batches.batching import Batching
from npyfast._batches.statistics import noted_below
from npyfast._errors import printable

# The attribute of a tf.data.Dataset of npyfast's own that holds its description.
DESCRIPTION = "_npyfast_description"

_STORED = {
    "memory": "in memory",
    "mapped": "mapped",
    "row files": "one file a row",
    "h5py": "read by h5py",
    "python": "read by Python",
}


def batches_and_order(batching: Batching) -> str:
    """How many batches of how many rows, and in which order."""
    plan = batching.plan
    order = "in file order" if plan.selection.order is None else "in the split's order"
    if plan.seed is not None:
        order = f"shuffled with seed {plan.seed}"
    if plan.blocks is not None:
        order += (
            f" in blocks of {plan.blocks.block_rows:,} and windows of "
            f"{plan.blocks.window_rows:,} rows"
        )
    passes = "endless passes of " if batching.run.epochs < 0 else ""
    if batching.run.epochs > 1:
        passes = f"{batching.run.epochs} passes of "
    worker = ""
    if plan.shard_count > 1:
        worker = f", worker {plan.shard_index} of {plan.shard_count}"
    return (
        f"{passes}{plan.batches:,} batches of {plan.batch_size} of {plan.selection.size:,} rows, "
        f"{order}{worker}"
    )


def description(batching: Batching, delivery: str) -> str:
    """The text of describe(); `delivery` says how the batches reach their reader, and why so."""
    return "\n".join(_lines(batching, delivery))


def _lines(batching: Batching, delivery: str) -> Iterator[str]:
    yield batches_and_order(batching)
    if batching.endless_epochs:
        yield f"  each iteration is the next epoch, from epoch {batching.run.start_epoch} on"
    else:
        run = batching.run
        yield f"  each iteration begins at epoch {run.start_epoch}, batch {run.start_batch}"
    for name, leaf in zip(batching.names, batching.leaves, strict=True):
        yield f"  {_leaf(name, leaf)}"
    if batching.transform is not None:
        name = getattr(batching.transform, "__name__", type(batching.transform).__name__)
        yield f"  then {name}, in {batching.transform_threads} threads"
    yield f"  {delivery}"
    made_by = f"backend {batching.backend.NAME}"
    if batching.backend.READS_AHEAD:
        made_by += f", readahead {batching.readahead}"
    yield f"  {made_by}"


def _leaf(name: str, leaf: OpenedLeaf) -> str:
    size = math.prod(leaf.row_shape) * leaf.dtype.itemsize
    text = f"{name}: {len(leaf):,} rows of shape {leaf.row_shape}, {leaf.dtype}"
    if leaf.cast is not None:
        steps = [
            step
            for step, value in (("scaled", leaf.cast.scale), ("shifted", leaf.cast.shift))
            if value is not None
        ]
        text += f" ({' and '.join(['cast', *steps])})"
    text += f", {size:,} bytes each; {_STORED[leaf.storage.kind]}"
    files = leaf.parts()  # which takes long for many: once
    if len(files) > 1:
        first, last = (printable(os.fsdecode(files[i][0])) for i in (0, -1))
        text += f", {len(files):,} files from {first} to {last}"
    return text


def describe(made: Any) -> str:
    """Says what `npyfast.batches` or `npyfast.dataset` has made.

    Args:
        made: what `npyfast.batches` or `npyfast.dataset` returned, or a `tf.data.Dataset` built on
            it by `map`, `prefetch` and so on, as for `npyfast.statistics`.

    Returns:
        Lines of text for people, which may change from release to release: the batches and their
        order; for each leaf the files in their order, rows, dtype and what becomes of them; the
        engine, and why it is this one; the backend. Several datasets below one (`zip`) follow each
        other, with an empty line between.

    Raises:
        TypeError: `made` is none of these.
        ValueError: a dataset with no `npyfast.dataset` below it.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.zeros((100, 28, 28), np.uint8))
        >>> made = npyfast.batches(("X.npy", np.arange(100)), 32, shuffle=True, seed=0)
        >>> print(npyfast.describe(made))  # doctest: +ELLIPSIS
        4 batches of 32 of 100 rows, shuffled with seed 0
          each iteration is the next epoch, from epoch 0 on
          X.npy: 100 rows of shape (28, 28), uint8, 784 bytes each; mapped
          the array of shape (100,) in memory: 100 rows of shape (), int64, 8 bytes each; in memory
          as NumPy arrays, without TensorFlow
          backend ...
    """
    batching = getattr(made, "_batching", None)
    if isinstance(batching, Batching):
        return description(
            batching, getattr(made, "_delivery", "as NumPy arrays, without TensorFlow")
        )
    return "\n\n".join(noted_below(made, DESCRIPTION, "describe"))
