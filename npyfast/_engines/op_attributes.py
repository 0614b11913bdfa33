"""The attributes of the op NpyfastBatch; csrc/tensorflow/batch_op.cc lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from npyfast._backends.fields import AnyArray
from npyfast._backends.header import Header, header_bytes
from npyfast._batches.batching import Batching
from npyfast._engines.indexes import Grid
from npyfast._engines.memory import Layout
from npyfast._engines.op_library import library_text
from npyfast._engines.tensors import tensor_type
from npyfast._nest import leaves
from npyfast._order.blocks import BLOCK_ORDER_VERSION
from npyfast._order.full import ORDER_VERSION

if TYPE_CHECKING:
    from npyfast._backends.native import NativeLeaf

Attributes = dict[str, Any]


def op_attributes(batching: Batching, grid: Grid, memory: Sequence[Layout]) -> Attributes:
    """What the op needs to make the batches in any process: attributes, to which the layouts of the
    arrays in memory belong. REQUIRES: graph.obstacle() is None."""
    return {
        **_leaf_attributes(batching, memory),
        **_plan_attributes(batching),
        "first": grid.first,
        "stride": grid.stride,
        "threads": batching.threads or 0,
        "readahead": batching.readahead,
    }


def _leaf_attributes(batching: Batching, memory: Sequence[Layout]) -> Attributes:
    """Files, casts and columns."""
    from npyfast._core import encode_arrays  # missing where the NumPy backend is in use

    opened = cast("list[NativeLeaf]", batching.leaves)
    columns = list(leaves(batching.structure))
    return {
        **encode_arrays([leaf.array for leaf in opened], memory),
        "machine": library_text("npyfast_machine_id"),
        "casts": [_npy(np.empty(0, leaf.dtype)) if leaf.cast else b"" for leaf in opened],
        "scales": [_npy(leaf.cast.scale if leaf.cast else None) for leaf in opened],
        "shifts": [_npy(leaf.cast.shift if leaf.cast else None) for leaf in opened],
        "types": [tensor_type(column.dtype, column.name) for column in columns],
        "texts": [column.dtype.kind if column.dtype.kind in "SU" else "" for column in columns],
        "ranks": [len(column.shape) for column in columns],
        "dims": [size for column in columns for size in column.shape],
    }


def _plan_attributes(batching: Batching) -> Attributes:
    """Which rows make which batch."""
    plan, run, selection = batching.plan, batching.run, batching.plan.selection
    return {
        "selection": [selection.start, selection.step, selection.size],
        "selection_order": [_signed(number) for number in selection.order or ()],
        "batch_size": plan.batch_size,
        "shuffle": plan.seed is not None,
        "seed": _signed(plan.seed or 0),
        "block_rows": plan.blocks.block_rows if plan.blocks else 0,
        "window_rows": plan.blocks.window_rows if plan.blocks else 0,
        "shard_index": plan.shard_index,
        "shard_count": plan.shard_count,
        "drop_remainder": plan.drop_remainder,
        "start_epoch": run.start_epoch,
        "start_batch": run.start_batch,
        # With epochs=None indexes continue from one iteration to the next, without an end.
        "epochs": -1 if batching.endless_epochs else run.epochs,
        "single_passes": batching.endless_epochs,
        "order_version": ORDER_VERSION,
        "block_order_version": BLOCK_ORDER_VERSION,
    }


def _npy(array: AnyArray | None) -> bytes:
    """An array as a .npy file; empty for None."""
    if array is None:
        return b""
    return header_bytes(Header((3, 0), array.shape, array.dtype, False, 0)) + array.tobytes()


def _signed(number: int) -> int:
    """An unsigned 64-bit number as the signed one of the same bits, which attributes can hold."""
    return number - (1 << 64) if number >= 1 << 63 else number
