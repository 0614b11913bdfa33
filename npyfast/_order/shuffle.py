"""The option `shuffle`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from npyfast._options import integer
from npyfast._order.blocks import BlockSizes
from npyfast._order.full import MAX_ROWS

# Blocks long enough that a disk reads them, in any order, as fast as one after the other; windows
# of a thousand blocks.
BLOCK_BYTES = 1 << 18
WINDOW_BYTES = 1 << 28


@dataclass(frozen=True)
class BlockShuffle:
    """Shuffling by blocks with sizes of your own: a value of the option `shuffle`.

    With `shuffle="block"` both sizes are chosen from the bytes of a row, of all leaves together:
    blocks of 256 KiB, windows of 256 MiB. On machines (and in control groups) with less than 2 GiB
    of memory the window is the largest power of two bytes that is at most an eighth of it. Others
    would then have another order: with `shard`, `start_epoch` or `start_batch` that is an error,
    which says the sizes to give.

    Args:
        block_rows: rows of a block: consecutive rows, which are read together. None: 256 KiB.
        window_rows: rows that are shuffled together, from as many blocks as they fill, at least
            one. About two windows have to fit in memory. None: 256 MiB.

    Raises:
        ValueError: a size is no int of at least 1.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.arange(10_000))
        >>> shuffle = npyfast.BlockShuffle(block_rows=100, window_rows=1000)
        >>> first = next(iter(npyfast.batches("X.npy", 1000, shuffle, seed=0)))
        >>> np.unique(first // 100).size  # a block may lie across a border of hundreds
        20
    """

    block_rows: int | None = None
    window_rows: int | None = None

    def __post_init__(self) -> None:
        for name in ("block_rows", "window_rows"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, integer(name, value, 1, MAX_ROWS))


Shuffle = bool | Literal["block"] | BlockShuffle


def check_shuffle(shuffle: Any) -> bool | BlockShuffle:
    """The option `shuffle`, or a ValueError that says what is allowed."""
    if isinstance(shuffle, (bool, np.bool_)):
        return bool(shuffle)
    if isinstance(shuffle, str) and shuffle == "block":
        return BlockShuffle()
    if isinstance(shuffle, BlockShuffle):
        return shuffle
    raise ValueError(
        f"shuffle must be False, True, 'block' or npyfast.BlockShuffle(...), got {shuffle!r}"
    )


def block_sizes(shuffle: BlockShuffle, row_bytes: int, memory: int | None) -> BlockSizes:
    """The sizes for rows of so many bytes in a process that may have so much memory."""
    row_bytes = max(1, row_bytes)
    window_bytes = WINDOW_BYTES
    if memory is not None:
        window_bytes = min(window_bytes, 1 << max(0, (memory // 8).bit_length() - 1))
    block = shuffle.block_rows or max(1, BLOCK_BYTES // row_bytes)
    window = shuffle.window_rows or window_bytes // row_bytes
    return BlockSizes(block, max(block, window))


def check_not_reduced(shuffle: BlockShuffle, row_bytes: int, sizes: BlockSizes) -> None:
    """Raises ValueError if sizes are smaller than where there is enough memory: for batches that
    have to fit those of other processes."""
    usual = block_sizes(shuffle, row_bytes, None)
    if sizes != usual:
        raise ValueError(
            f"this process may use so little memory that shuffle='block' shuffles windows of "
            f"{sizes.window_rows:,} rows rather than {usual.window_rows:,}, and with shard, "
            "start_epoch or start_batch all processes need the same: pass "
            f"shuffle=npyfast.BlockShuffle(block_rows={sizes.block_rows}, "
            f"window_rows={sizes.window_rows}) in each of them (or the sizes of the run that is to "
            "go on, which repr() of its batches tells)"
        )
