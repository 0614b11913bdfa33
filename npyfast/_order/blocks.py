"""The order of a block-shuffled epoch, in NumPy: the specification of
csrc/core/order/block_order.cc.

docs/order.md explains the algorithm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from npyfast._order.full import chain, checked, order

# Changes with any change of the order: see docs/order.md.
BLOCK_ORDER_VERSION = 1

# The purposes of derived seeds.
_ROTATION, _BLOCKS, _WINDOW = 1, 2, 3


class BlockSizes(NamedTuple):
    """How a block shuffle divides rows; each is at least 1."""

    block_rows: int
    window_rows: int


def block_order(
    rows: int, seed: int, epoch: int, sizes: BlockSizes, positions: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Return the rows at `positions` in the block order of (rows, seed, epoch, sizes).

    For fixed rows, seed, epoch and sizes this is a bijection on [0, rows), like `order`.

    Args:
        rows, seed, epoch: as for `order`.
        sizes: rows of a block and of a window. A window has at least one block.
        positions: one-dimensional uint64 array, each below `rows`.

    Returns:
        An int64 array of the same length.

    Raises:
        ValueError, IndexError, TypeError: as `order` raises them.

    Example:
        >>> sizes = BlockSizes(block_rows=2, window_rows=4)
        >>> block_order(9, 0, 0, sizes, np.arange(9, dtype=np.uint64)).tolist()
        [4, 5, 6, 3, 8, 7, 2, 0, 1]
    """
    rows, seed, epoch = checked(rows, seed, epoch, positions)
    # Blocks begin at a random row, and continue at row 0 after the last row.
    rotation = (chain(seed, epoch, rows, _ROTATION, 0) * rows) >> 64
    blocks = rows // sizes.block_rows
    windows = max(1, -(-blocks // max(1, sizes.window_rows // sizes.block_rows)))
    result = np.empty(positions.shape, np.int64)
    missing = np.ones(positions.shape, bool)
    while missing.any():
        # The window of the first missing position. A slot is a position of a block in the epoch;
        # the rows left over, less than a block, come with the last window.
        slot = min(int(positions[missing].min()) // sizes.block_rows, blocks - 1)
        window = ((slot + 1) * windows - 1) // blocks if blocks else 0
        first_slot, end_slot = (w * blocks // windows for w in (window, window + 1))
        first = first_slot * sizes.block_rows
        end = end_slot * sizes.block_rows if window + 1 < windows else rows

        inside = (positions >= first) & (positions < end)
        window_seed = chain(seed, epoch, rows, _WINDOW, window)
        shuffled = order(end - first, window_seed, 0, positions[inside] - np.uint64(first))
        slots, offsets = np.divmod(shuffled.astype(np.uint64), np.uint64(sizes.block_rows))
        slots += np.uint64(first_slot)
        numbers = np.full(slots.shape, blocks, np.uint64)
        full = slots < blocks
        block_seed = chain(seed, epoch, rows, _BLOCKS, 0)
        numbers[full] = order(blocks, block_seed, 0, slots[full]).astype(np.uint64)
        rotated = numbers * np.uint64(sizes.block_rows) + offsets + np.uint64(rotation)
        result[inside] = rotated % np.uint64(rows)
        missing &= ~inside
    return result
