"""The option `shuffle`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from npyfast._errors import shown
from npyfast._options import integer
from npyfast._order.blocks import BlockSizes
from npyfast._order.full import MAX_ROWS

# Blocks so long that a disk reads them as fast in random order as sequentially, and windows of a
# thousand blocks.
BLOCK_BYTES = 1 << 18
WINDOW_BYTES = 1 << 28


@dataclass(frozen=True)
class BlockShuffle:
    """Block shuffling with given sizes: a value of the option `shuffle`.

    `shuffle="block"` chooses both sizes from the bytes of a row, all leaves together: blocks of
    256 KiB (whole chunks, at least four if the window allows, of an array-like that has chunks),
    windows of 256 MiB. On machines (and in control groups) with less than 2 GiB of memory,
    the window is the largest power of two bytes that is at most an eighth of the memory. The order
    then differs from that of larger machines: with `shard`, `start_epoch` or `start_batch` this is
    an error, which names the sizes to pass.

    Args:
        block_rows: rows of a block. They are consecutive, and read together. None: 256 KiB.
        window_rows: rows that are shuffled together, in as many blocks as they fill, at least one.
            About two windows must fit in memory. None: 256 MiB.

    Raises:
        ValueError: a size is not an int of at least 1.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.arange(10_000))
        >>> shuffle = npyfast.BlockShuffle(block_rows=100, window_rows=1000)
        >>> first = next(iter(npyfast.batches("X.npy", 1000, shuffle, seed=0)))
        >>> np.unique(first // 100).size  # blocks do not begin at multiples of 100
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


def check_shuffle(shuffle: Shuffle) -> bool | BlockShuffle:
    """The option `shuffle`, or a ValueError that says what is allowed."""
    if isinstance(shuffle, (bool, np.bool_)):
        return bool(shuffle)
    if isinstance(shuffle, str) and shuffle == "block":
        return BlockShuffle()
    if isinstance(shuffle, BlockShuffle):
        return shuffle
    given: object = shuffle
    hint = ""
    if isinstance(given, (int, float, np.number)):
        hint = ": there is no buffer whose size to choose, because True shuffles all rows uniformly"
    elif shown(given) != repr(given) or (isinstance(given, str) and "." in given):
        hint = "; several arrays are one tuple: ((x, y), batch_size=32)"
    raise ValueError(
        "shuffle must be False, True, 'block' or npyfast.BlockShuffle(...), got "
        f"{shown(given)}{hint}"
    )


# Blocks do not begin where chunks do, so each of them reads one chunk more than it fills: of so
# many, that is a quarter.
_CHUNKS_OF_BLOCK = 4
# As long as a window has as many blocks, that is.
_BLOCKS_OF_WINDOW = 16


def block_sizes(
    shuffle: BlockShuffle, row_bytes: int, memory: int | None, chunk_rows: int = 1
) -> BlockSizes:
    """The sizes for rows of `row_bytes` bytes, of which `chunk_rows` are always read together, in a
    process that may use `memory` bytes."""
    row_bytes = max(1, row_bytes)
    window_bytes = WINDOW_BYTES
    if memory is not None:
        window_bytes = min(window_bytes, 1 << max(0, (memory // 8).bit_length() - 1))
    block = shuffle.block_rows or max(1, BLOCK_BYTES // row_bytes)
    window = shuffle.window_rows or window_bytes // row_bytes
    if chunk_rows > 1 and shuffle.block_rows is None:
        some = min(_CHUNKS_OF_BLOCK, window // _BLOCKS_OF_WINDOW // chunk_rows)
        block = max(some, -(-block // chunk_rows)) * chunk_rows
    return BlockSizes(block, max(block, window))


def check_not_reduced(
    shuffle: BlockShuffle, row_bytes: int, chunk_rows: int, sizes: BlockSizes
) -> None:
    """Raises ValueError if little memory has reduced the sizes: for batches that must match those
    of other processes."""
    usual = block_sizes(shuffle, row_bytes, None, chunk_rows)
    if sizes != usual:
        raise ValueError(
            f"this process may use so little memory that shuffle='block' shuffles windows of "
            f"{sizes.window_rows:,} rows rather than {usual.window_rows:,}, and with shard, "
            "start_epoch or start_batch all processes need the same sizes: pass "
            f"shuffle=npyfast.BlockShuffle(block_rows={sizes.block_rows}, "
            f"window_rows={sizes.window_rows}) in each of them (or the sizes of the run to be "
            "resumed, which repr() of its batches shows)"
        )
