"""The block order: the same rows from both backends, each row once, no pattern that statistics
find in what is random about it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import expected
import numpy as np
import numpy.typing as npt
import order_statistics as statistics
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npyfast import _core
from npyfast._order import blocks as _block_order
from npyfast._order.blocks import BlockSizes, block_order
from npyfast._order.full import chain

Rows = npt.NDArray[np.int64]

# (rows, seed, epoch, (block_rows, window_rows), first position, how many) -> rows
Piece = Callable[[int, int, int, tuple[int, int], int, int], Rows]

MAX = statistics.MAX


def upto(count: int, start: int = 0) -> npt.NDArray[np.uint64]:
    return np.arange(start, start + count, dtype=np.uint64)


def numpy_piece(
    rows: int, seed: int, epoch: int, sizes: tuple[int, int], first: int, count: int
) -> Rows:
    return block_order(rows, seed, epoch, BlockSizes(*sizes), upto(count, first))


def native_piece(
    rows: int, seed: int, epoch: int, sizes: tuple[int, int], first: int, count: int
) -> Rows:
    # Batches are the only way to it, so that a piece is cut from those it lies in.
    plan = _core.Plan(
        start=0,
        step=1,
        size=rows,
        list=None,
        batch_size=max(1, count),
        seed=seed,
        blocks=sizes,
        shard_index=0,
        shard_count=1,
        drop_remainder=False,
    )
    if count == 0:
        return np.empty(0, np.int64)
    batch, skipped = divmod(first, count)
    batches = [plan.rows(epoch, b) for b in (batch, batch + 1) if b < plan.batches]
    return np.concatenate(batches)[skipped : skipped + count]


both_backends = pytest.mark.parametrize(
    "piece", [native_piece, numpy_piece], ids=["native", "numpy"]
)

# The algorithm's fingerprint, the same table as in tests/core/order/block_order_test.cc. A change
# here breaks every checkpoint taken before: it needs a new BLOCK_ORDER_VERSION.
GOLDEN = [
    (1, 0, 0, (1, 1), 0, [0]),
    (2, 0, 0, (1, 1), 0, [1, 0]),
    (2, 0, 1, (2, 2), 0, [1, 0]),
    (5, 0, 0, (2, 4), 0, [3, 2, 4, 1, 0]),
    (5, 0, 1, (2, 4), 0, [4, 2, 0, 3, 1]),
    (9, 0, 0, (2, 4), 0, [4, 5, 6, 3, 8, 7, 2, 0, 1]),
    (9, 1, 0, (2, 4), 0, [6, 7, 4, 5, 3, 0, 8, 1, 2]),
    (9, 0, 0, (3, 1), 0, [6, 7, 5, 4, 3, 2, 8, 1, 0]),
    (10, 3, 2, (20, 40), 0, [7, 2, 6, 3, 1, 5, 8, 0, 4, 9]),
    (100, 1, 0, (7, 20), 0, [62, 91, 64, 89, 60, 59, 87, 90]),
    (100, 1, 0, (7, 20), 92, [19, 14, 12, 15, 11, 16, 21, 20]),
    (1000, 42, 0, (10, 100), 0, [982, 984, 84, 95, 420, 318, 559, 957]),
    (1000, 42, 1, (10, 100), 0, [954, 16, 381, 946, 378, 8, 204, 951]),
    (1000, 42, 1, (10, 100), 98, [85, 343, 927, 713]),
    (65537, 0, 0, (341, 4096), 0, [52381, 22886, 22822, 12186, 22842, 31567, 43234, 23382]),
    (
        65537,
        18446744073709551615,
        18446744073709551615,
        (16, 65537),
        0,
        [14392, 56538, 60816, 14680, 12195, 19598, 49513, 41713],
    ),
    (
        1000000,
        9223372036854775808,
        5,
        (1, 1000),
        0,
        [937270, 653246, 595904, 501056, 25609, 373463, 627815, 964313],
    ),
    (
        2000000,
        3,
        9223372036854775808,
        (341, 349525),
        600000,
        [464686, 1171700, 333329, 1956424, 95034, 1222292, 1136844, 107590],
    ),
    (
        1000000000,
        0,
        0,
        (341, 349525),
        0,
        [778312043, 580238419, 238592527, 291798792, 133585930, 503961875, 328243899, 235961625],
    ),
    (
        1000000000,
        0,
        0,
        (341, 349525),
        999999992,
        [644344034, 429787097, 755495302, 616206970, 729694454, 694444557, 577066507, 451691932],
    ),
    (
        1000000000000,
        4294967296,
        4294967296,
        (21, 21845),
        500000000000,
        [
            609334101504,
            573180452830,
            540551416684,
            216509125267,
            103005437693,
            775221498955,
            958377550108,
            228069413007,
        ],
    ),
    (
        4611686018427387903,
        0,
        0,
        (341, 349525),
        2305843009213693952,
        [
            130809179506095502,
            3481487680409864829,
            434738879244381511,
            2601468037517021179,
            3954969946421768526,
            853223428284976727,
            4003457708639437432,
            2684082937719492759,
        ],
    ),
    (
        4611686018427387904,
        7,
        9,
        (1048576, 1073741824),
        4611686018427387896,
        [
            2486576623704498084,
            1319207798983334660,
            1063650517223066960,
            4314793505599718329,
            2497237086188466948,
            2185510458860753221,
            823559769615178652,
            1440985137148950579,
        ],
    ),
    (
        4611686018427387904,
        1,
        2,
        (1, 4611686018427387904),
        0,
        [
            469237816904088790,
            1078388422067105523,
            1741274237337508440,
            2373437790274851712,
            4328463541009332267,
            3379961065211604931,
            3492995872954690749,
            3573696238726684587,
        ],
    ),
]


@both_backends
@pytest.mark.parametrize(("rows", "seed", "epoch", "sizes", "first", "wanted"), GOLDEN)
def test_keeps_its_rows(
    piece: Piece,
    rows: int,
    seed: int,
    epoch: int,
    sizes: tuple[int, int],
    first: int,
    wanted: list[int],
) -> None:
    assert piece(rows, seed, epoch, sizes, first, len(wanted)).tolist() == wanted


def test_version() -> None:
    assert _core.BLOCK_ORDER_VERSION == _block_order.BLOCK_ORDER_VERSION == 1


def test_is_what_its_definition_says() -> None:
    for rows, block, window in itertools.product(
        [*range(1, 13), 64, 101], (1, 2, 3, 8, 12, 30), (1, 4, 9, 40, 200)
    ):
        epoch = block * window
        wanted = np.concatenate(expected.in_blocks(np.arange(rows), rows, epoch, (block, window)))
        arguments = (rows, rows, epoch, (block, window), 0, rows)
        np.testing.assert_array_equal(native_piece(*arguments), wanted)
        np.testing.assert_array_equal(numpy_piece(*arguments), wanted)
        assert sorted(wanted) == list(range(rows))


SIZES = st.integers(1, 50) | st.integers(1, 10**6) | st.integers(1, 2**62)


@given(
    rows=st.integers(1, 1000) | st.integers(1, 2**62),
    seed=st.integers(0, MAX),
    epoch=st.integers(0, MAX),
    block=SIZES,
    window=SIZES,
    data=st.data(),
)
def test_backends_agree(
    rows: int, seed: int, epoch: int, block: int, window: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, rows - 1))
    count = data.draw(st.integers(0, min(300, rows - first)))
    arguments = (rows, seed, epoch, (block, window), first, count)
    native, numpy = native_piece(*arguments), numpy_piece(*arguments)
    assert native.dtype == numpy.dtype == np.int64
    np.testing.assert_array_equal(native, numpy)
    assert len(np.unique(native)) == count
    assert ((native >= 0) & (native < rows)).all()


def test_position_by_position() -> None:
    sizes = BlockSizes(7, 50)
    whole = block_order(1000, 3, 4, sizes, upto(1000))
    scattered = np.random.default_rng(0).integers(0, 1000, 500).astype(np.uint64)
    np.testing.assert_array_equal(block_order(1000, 3, 4, sizes, scattered), whole[scattered])
    assert block_order(1000, 3, 4, sizes, upto(0)).tolist() == []


@pytest.mark.parametrize(
    ("error", "rows", "positions"),
    [
        (IndexError, 10, upto(11)),
        (IndexError, 0, upto(1)),
        (ValueError, 2**62 + 1, upto(1)),
        (TypeError, -1, upto(0)),
        (TypeError, 10, np.arange(3)),
    ],
)
def test_wrong_arguments(
    error: type[Exception], rows: int, positions: npt.NDArray[np.uint64]
) -> None:
    with pytest.raises(error):
        block_order(rows, 0, 0, BlockSizes(2, 4), positions)


def test_a_window_has_whole_blocks() -> None:
    """What a disk sees of it: each window is a few stretches of rows."""
    rows = native_piece(10_000, 1, 2, (100, 1000), 0, 10_000)
    for window in rows.reshape(10, 1000):
        ordered = np.sort(window)
        stretches = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
        # Ten blocks; neighbours are one stretch; the one that goes around the end is two.
        assert len(stretches) <= 11
        assert {len(stretch) % 100 for stretch in stretches[1:-1]} == {0}


# Statistics. The keys are fixed, so that these tests pass or fail for ever; the limit is that of
# test_order.py. Rows of one block come in one window, so that a block order as a whole is no
# uniform choice among all orders; but each of its three random choices is to be one: where the
# rows are cut, the order of the blocks, and the order within each window.
EXTREME = 1e-6
COUNT = 6000

each_keys = pytest.mark.parametrize("keys", statistics.KEYS)


def check(p: float) -> None:
    assert EXTREME < p < 1 - EXTREME


def samples(rows: int, sizes: tuple[int, int], keys: str, count: int = COUNT) -> Rows:
    """An order for each pair of keys."""
    pairs = statistics.KEYS[keys](count).tolist()
    return np.stack([native_piece(rows, s, e, sizes, 0, rows) for s, e in pairs])


def check_uniform(orders: Rows) -> None:
    """Each of these orders is as likely as any other, and they have nothing to do with another."""
    rows = orders.shape[1]
    check(statistics.positions(orders))
    check(statistics.differences(orders, 1))
    check(statistics.pairs(orders, 0, 1))
    check(statistics.pairs(orders, rows // 2, rows - 1))
    check(statistics.serial_correlation(orders, 1))
    check(statistics.correlation(orders))
    check(statistics.fixed_points(orders))
    check(statistics.agreements(orders))


@each_keys
@pytest.mark.parametrize("window", [0, 2])
def test_rows_are_mixed_uniformly_within_a_window(keys: str, window: int) -> None:
    mine = samples(120, (8, 40), keys)[:, 40 * window : 40 * window + 40]
    check_uniform(mine.argsort(axis=1).argsort(axis=1))


@each_keys
def test_blocks_come_in_uniform_order(keys: str) -> None:
    orders = samples(203, (4, 4), keys)  # 50 blocks, each a window of its own, and 3 rows
    pairs = statistics.KEYS[keys](COUNT).tolist()
    rotations = [chain(seed, epoch, 203, 1, 0) * 203 >> 64 for seed, epoch in pairs]
    blocks = (orders[:, :200:4] - np.array(rotations)[:, None]) % 203 // 4
    # The last window has the remainder as well, which may come first in it.
    blocks[:, 49] = np.arange(50).sum() - blocks[:, :49].sum(axis=1)
    check_uniform(blocks)


@each_keys
def test_rows_are_cut_anywhere(keys: str) -> None:
    # Windows of one block: where the first one begins, which may go around the end.
    blocks = samples(1000, (50, 50), keys)[:, :50]
    around = np.ptp(blocks, axis=1) > 500
    starts = np.where(blocks < 500 * around[:, None], 1000, blocks).min(axis=1)
    check(statistics.even(starts % 50, 50))
    check(statistics.even(starts[::2] // 50 * 20 + starts[1::2] // 50, 400))


@each_keys
@pytest.mark.parametrize("sizes", [(8, 40), (1, 30), (7, 7), (200, 200)])
def test_each_row_is_as_likely_at_each_position(keys: str, sizes: tuple[int, int]) -> None:
    orders = samples(120, sizes, keys)
    for position in (0, 1, 39, 40, 77, 119):
        check(statistics.even(orders[:, position], 120))


@pytest.mark.parametrize(("one", "other"), statistics.RELATED_KEYS)
def test_related_numbers_give_unrelated_orders(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    a, b = (native_piece(65_537, *keys, (16, 1024), 0, 65_537) for keys in (one, other))
    ranks = [order[:65_536].reshape(64, 1024).argsort().argsort() for order in (a, b)]
    check(statistics.correlation(np.stack(ranks, axis=1).reshape(128, 1024)))
    # Of 4,096 blocks in 64 windows, 64 would be in the same window by chance, give or take 8.
    windows = [np.empty(65_537, int) for _ in range(2)]
    for order, window in zip((a, b), windows, strict=True):
        window[order] = np.minimum(np.arange(65_537) // 1024, 63)
    assert abs((windows[0] == windows[1]).mean() - 1 / 64) < 5 * 8 / 4096
