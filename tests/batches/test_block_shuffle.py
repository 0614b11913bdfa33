"""`shuffle="block"`: its sizes, and the batches that `npyfast.batches` makes of them.

The order itself has tests of its own; test_properties.py and test_dataset_properties.py draw block
shuffles among all options.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import expected
import numpy as np
import pytest
from expected import assert_same, assert_same_batches
from samples import Save

import npyfast
from npyfast import BlockShuffle
from npyfast._memory import memory_limit
from npyfast._order.shuffle import block_sizes

X = np.arange(1003 * 3, dtype="i4").reshape(1003, 3)
SIZES = BlockShuffle(10, 100)
BLOCKS = (10, 100)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("row_bytes", "memory", "sizes"),
    [
        (768, None, (341, 349_525)),
        (768, 64 << 30, (341, 349_525)),
        (1, 2 << 30, (256 << 10, 256 << 20)),
        (1, (2 << 30) - 1, (256 << 10, 128 << 20)),
        (1 << 10, 100 * MIB, (256, 8 << 10)),
        (256 << 10, None, (1, 1024)),
        # Rows of more than a block, of more than a window, of nothing; hardly any memory.
        (1 * MIB, None, (1, 256)),
        (300 * MIB, None, (1, 1)),
        (0, None, (256 << 10, 256 << 20)),
        (1, MIB, (256 << 10, 256 << 10)),
        (1, 0, (256 << 10, 256 << 10)),
    ],
)
def test_sizes_by_default(row_bytes: int, memory: int | None, sizes: tuple[int, int]) -> None:
    assert block_sizes(BlockShuffle(), row_bytes, memory) == sizes


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        (BlockShuffle(10), (10, 349_525)),
        (BlockShuffle(window_rows=1000), (341, 1000)),
        (BlockShuffle(10, 1000), (10, 1000)),
        (BlockShuffle(np.int32(10), np.uint8(100)), (10, 100)),
        # A window never is less than a block.
        (BlockShuffle(10, 9), (10, 10)),
        (BlockShuffle(window_rows=9), (341, 341)),
        (BlockShuffle(10**6), (10**6, 10**6)),
    ],
)
def test_sizes_of_your_own(given: BlockShuffle, sizes: tuple[int, int]) -> None:
    assert block_sizes(given, 768, None) == sizes


@pytest.mark.parametrize("name", ["block_rows", "window_rows"])
@pytest.mark.parametrize("wrong", [0, -1, 1.0, "10", True, 2**62])
def test_wrong_sizes(name: str, wrong: Any) -> None:
    allowed = re.escape(f"{name} must be an int in [1, {2**62}), got {wrong!r}")
    with pytest.raises(ValueError, match=allowed):
        BlockShuffle(**{name: wrong})


def test_is_a_value() -> None:
    assert BlockShuffle(1, 2) == BlockShuffle(1, 2) != BlockShuffle(1, 3)
    assert repr(BlockShuffle(1)) == "BlockShuffle(block_rows=1, window_rows=None)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        SIZES.block_rows = 3  # type: ignore[misc]


def test_the_rows_of_all_leaves_count(save: Save, backend: str) -> None:
    leaves = {"x": save(np.zeros((8, 1000), "f4")), "y": (save(np.zeros((8, 2), "f8")),)}
    sizes = block_sizes(BlockShuffle(), 4016, memory_limit())
    assert sizes.block_rows == 65
    described = f"in blocks of 65 and windows of {sizes.window_rows:,} rows"
    assert described in repr(npyfast.batches(leaves, 4, "block"))


def test_by_default(save: Save, backend: str) -> None:
    x = np.random.default_rng(0).integers(0, 255, (103, 60_000), "u1")
    sizes = block_sizes(BlockShuffle(), 60_000, memory_limit())
    assert sizes.block_rows == 4
    assert_same_batches(
        npyfast.batches(save(x), 10, "block", seed=3),
        x,
        expected.epoch_batches(103, batch_size=10, seed=3, blocks=sizes),
    )


@pytest.mark.parametrize("blocks", [(10, 100), (1, 1), (1, 5000), (7, 20), (100, 100), (2000, 1)])
def test_each_epoch_is_another_order(save: Save, backend: str, blocks: tuple[int, int]) -> None:
    made = npyfast.batches(save(X), 32, BlockShuffle(*blocks), seed=1, start_epoch=4)
    for k in range(3):
        rows = expected.epoch_batches(1003, batch_size=32, seed=1, blocks=blocks, epoch=4 + k)
        assert_same_batches(made, X, rows)


def test_a_seed_is_drawn_once_and_told(save: Save, backend: str) -> None:
    path = save(np.arange(1000))
    made = npyfast.batches(path, 10, SIZES)
    again = npyfast.batches(path, 10, SIZES, seed=made.seed)
    assert made.seed is not None
    assert_same(np.concatenate(list(made)), np.concatenate(list(again)))
    assert made.seed != npyfast.batches(path, 10, SIZES).seed


@pytest.mark.parametrize(("start_batch", "epochs"), [(0, 2), (7, 1), (25, 3), (26, 2), (7, -1)])
def test_starts_at_a_batch(save: Save, backend: str, start_batch: int, epochs: int) -> None:
    options: dict[str, Any] = {
        "seed": 1,
        "epochs": epochs,
        "start_epoch": 9,
        "start_batch": start_batch,
    }
    made = npyfast.batches(save(X), 40, SIZES, **options)
    rows = expected.iteration(1003, batch_size=40, blocks=BLOCKS, **options)
    iterator = iter(made)
    for wanted, batch in zip(rows, iterator, strict=False):
        assert_same(batch, X[wanted])
        if iterator.position[0] > 11:
            break


def test_resumes_from_its_position(save: Save, backend: str) -> None:
    path = save(X)
    made = npyfast.batches(path, 40, SIZES, epochs=2)
    stream = iter(made)
    for _ in range(30):
        next(stream)
    epoch, batch = stream.position
    rest = npyfast.batches(
        path, 40, SIZES, seed=made.seed, epochs=2 - epoch, start_epoch=epoch, start_batch=batch
    )
    assert_same(np.concatenate(list(stream)), np.concatenate(list(rest)))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_workers_together_have_the_global_batches(save: Save, backend: str, count: int) -> None:
    path = save(X)
    whole = npyfast.batches(path, 6 * count, SIZES, seed=2, epochs=2)
    workers = [
        npyfast.batches(path, 6, SIZES, seed=2, epochs=2, shard=(i, count)) for i in range(count)
    ]
    for batch, *parts in zip(whole, *workers, strict=True):
        assert_same(np.concatenate(parts), batch)


@pytest.mark.parametrize(
    "rows",
    [slice(None, 800), slice(900, 10, -7), np.arange(1003)[::-3], np.arange(1003) % 5 == 0],
    ids=["slice", "backwards", "list", "mask"],
)
def test_a_subset_of_rows(save: Save, backend: str, rows: Any) -> None:
    """Blocks are of rows that take part."""
    made = npyfast.batches(save(X), 6, SIZES, seed=8, rows=rows)
    wanted = expected.epoch_batches(1003, batch_size=6, seed=8, blocks=BLOCKS, rows=rows)
    assert_same_batches(made, X, wanted)


def test_shards_and_leaves(save: Save, backend: str) -> None:
    y = np.arange(1003) % 7
    parts = [save(part) for part in np.split(X, [100, 100, 713])]
    made = npyfast.batches((parts, save(y)), 32, SIZES, seed=5, drop_remainder=True)
    rows = expected.epoch_batches(1003, batch_size=32, seed=5, blocks=BLOCKS, drop_remainder=True)
    assert_same_batches(made, (X, y), rows)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("readahead", ["auto", "off", "whole", "rows"])
def test_threads_and_readahead_do_not_change_the_order(
    save: Save, backend: str, threads: int, readahead: str
) -> None:
    options: dict[str, Any] = {"seed": 2, "epochs": 5}
    made = npyfast.batches(save(X), 3, SIZES, threads=threads, readahead=readahead, **options)
    assert_same_batches(made, X, expected.iteration(1003, batch_size=3, blocks=BLOCKS, **options))


@pytest.mark.parametrize("rows", [None, slice(5, 5)])
def test_nothing(save: Save, backend: str, rows: Any) -> None:
    path = save(X if rows else X[:0])
    for epochs in (None, 3, -1):
        assert list(npyfast.batches(path, 6, "block", rows=rows, epochs=epochs)) == []


@pytest.mark.parametrize(
    "options",
    [{"shard": (0, 2)}, {"start_epoch": 1}, {"start_batch": 1, "epochs": 1}],
    ids=str,
)
def test_sizes_that_little_memory_reduces(
    save: Save, backend: str, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """They would be others elsewhere, and with them the order."""
    path = save(X)
    npyfast.batches(path, 40, "block", seed=1, **options)
    monkeypatch.setattr("npyfast._batches.batching.memory_limit", lambda: 1 << 20)
    npyfast.batches(path, 40, "block", seed=1)
    with pytest.raises(ValueError, match="pass shuffle=npyfast.BlockShuffle") as caught:
        npyfast.batches(path, 40, "block", seed=1, **options)
    sizes = re.search(r"block_rows=(\d+), window_rows=(\d+)", str(caught.value))
    assert sizes is not None
    given = npyfast.BlockShuffle(*map(int, sizes.groups()))
    npyfast.batches(path, 40, given, seed=1, **options)
