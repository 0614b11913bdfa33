"""The order: the same rows from both backends, each row once, no pattern that statistics find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import order_statistics as statistics
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npyfast import _core
from npyfast._order import full as _order

OrderFunction = Callable[[int, int, int, npt.NDArray[np.uint64]], npt.NDArray[np.int64]]

both_backends = pytest.mark.parametrize(
    "order", [_core.order, _order.order], ids=["native", "numpy"]
)

MAX = statistics.MAX


def upto(count: int, start: int = 0) -> npt.NDArray[np.uint64]:
    return np.arange(start, start + count, dtype=np.uint64)


def is_bijection(rows: npt.NDArray[np.int64]) -> bool:
    return bool((np.bincount(rows, minlength=len(rows)) == 1).all())


# The algorithm's fingerprint, the same table as in tests/core/order/order_test.cc. A change here
# breaks every checkpoint taken before: it needs a new ORDER_VERSION.
GOLDEN = [
    (1, 0, 0, [0]),
    (2, 0, 0, [0, 1]),
    (2, 0, 1, [0, 1]),
    (3, 0, 0, [2, 1, 0]),
    (4, 7, 1, [1, 2, 3, 0]),
    (5, 0, 0, [0, 2, 1, 4, 3]),
    (6, 1, 0, [0, 2, 3, 1, 5, 4]),
    (7, 0, 1, [5, 4, 6, 0, 2, 3, 1]),
    (8, 123456789, 3, [1, 5, 0, 4, 6, 3, 2, 7]),
    (10, 0, 0, [3, 0, 6, 4, 1, 2, 7, 9]),
    (64, 0, 0, [2, 7, 36, 19, 5, 56, 21, 26]),
    (100, 1, 0, [64, 9, 18, 72, 79, 11, 49, 39]),
    (100, 0, 1, [54, 27, 78, 65, 41, 32, 6, 26]),
    (1000, 42, 0, [569, 600, 574, 6, 451, 313, 0, 626]),
    (4096, 42, 1, [3372, 3915, 731, 2221, 1866, 669, 2533, 674]),
    (50000, 42, 2, [15736, 48900, 9852, 17124, 18326, 24413, 6432, 32669]),
    (60000, 0, 0, [40185, 36358, 15097, 56920, 26144, 58970, 28612, 11064]),
    (65536, 0, 0, [40193, 35734, 7737, 14121, 36325, 59585, 60756, 23838]),
    (65537, 0, 0, [63553, 48870, 51180, 34353, 18316, 50872, 44751, 17840]),
    (65537, 2**64 - 1, 2**64 - 1, [27226, 63705, 13476, 56000, 42772, 59053, 4615, 60880]),
    (262145, 1, 2, [254522, 217664, 87469, 99281, 218643, 117827, 161111, 51374]),
    (1000000, 2**63, 5, [721104, 369279, 334698, 315828, 319285, 985851, 920935, 975209]),
    (2000000, 3, 2**63, [1000295, 1176272, 1054633, 889176, 141778, 700988, 1549667, 35352]),
    (
        10**9,
        0,
        0,
        [931609313, 470694439, 733444158, 154681222, 953263325, 990401486, 893980051, 40128394],
    ),
    (
        2**40 + 1,
        9,
        9,
        [
            675266668274,
            125673030138,
            95583948573,
            13056030951,
            705698799443,
            1072485020509,
            1049400549978,
            838935880208,
        ],
    ),
    (
        10**12,
        2**32,
        2**32,
        [
            757237496698,
            750621098350,
            425587259532,
            666137834514,
            892415930792,
            556874189697,
            499591681606,
            142489184316,
        ],
    ),
    (
        2**62 - 1,
        0,
        0,
        [
            4481746611599823233,
            1304104631526584649,
            4357887887664439881,
            2869581690399376830,
            1501938945381981784,
            1720400926548200020,
            209438328262962035,
            3414448478200427705,
        ],
    ),
    (
        2**62,
        0,
        0,
        [
            3014388397840731138,
            4134057694244316574,
            1199810106463562390,
            448768590585697955,
            4217481250329396978,
            1634394135603351768,
            3684295663524154134,
            3310131347018507709,
        ],
    ),
    (
        2**62,
        2**64 - 1,
        2**64 - 1,
        [
            4468404395249055444,
            3718955289725334341,
            3322195570719238864,
            4110324263446396235,
            1880125644170366701,
            1076871744498249977,
            9372041663872178,
            211961528349386404,
        ],
    ),
]


@both_backends
@pytest.mark.parametrize(("rows", "seed", "epoch", "first"), GOLDEN)
def test_keeps_its_rows(
    order: OrderFunction, rows: int, seed: int, epoch: int, first: list[int]
) -> None:
    assert order(rows, seed, epoch, upto(len(first))).tolist() == first


def test_version() -> None:
    assert _core.ORDER_VERSION == _order.ORDER_VERSION == 1


# Both backends


@st.composite
def order_arguments(draw: st.DrawFn) -> tuple[int, int, int, npt.NDArray[np.uint64]]:
    rows = draw(st.one_of(st.integers(1, 1000), st.integers(1, 2**62)))
    runs = draw(
        st.lists(st.tuples(st.integers(0, rows - 1), st.integers(1, 300)), min_size=0, max_size=6)
    )
    pieces = [upto(min(size, rows - first), first) for first, size in runs]
    uint64 = st.integers(0, MAX)
    return rows, draw(uint64), draw(uint64), np.concatenate([upto(0), *pieces])


@settings(deadline=None)
@given(order_arguments())
def test_backends_agree(arguments: tuple[int, int, int, npt.NDArray[np.uint64]]) -> None:
    native, numpy = _core.order(*arguments), _order.order(*arguments)
    assert native.dtype == numpy.dtype == np.int64
    np.testing.assert_array_equal(native, numpy)


def test_backends_agree_on_whole_orders() -> None:
    for rows in [*range(1, 400), 5000, 65537, 100_000]:
        np.testing.assert_array_equal(
            _core.order(rows, rows, 1, upto(rows)), _order.order(rows, rows, 1, upto(rows))
        )


@both_backends
def test_position_by_position(order: OrderFunction) -> None:
    whole = order(1000, 3, 4, upto(1000))
    scattered = np.random.default_rng(0).permutation(upto(1000))
    np.testing.assert_array_equal(order(1000, 3, 4, scattered), whole[scattered])
    grid = scattered.reshape(20, 50)
    np.testing.assert_array_equal(order(1000, 3, 4, grid), whole[grid])
    np.testing.assert_array_equal(order(1000, 3, 4, scattered[::3]), whole[scattered[::3]])
    alone = order(1000, 3, 4, np.array(7, np.uint64))
    assert alone.shape == ()
    assert alone == whole[7]


@both_backends
def test_takes_numpy_numbers(order: OrderFunction) -> None:
    numbers = np.uint64(1000), np.uint64(MAX), np.int64(4)
    plain = order(1000, MAX, 4, upto(1000))
    np.testing.assert_array_equal(order(*numbers, upto(1000)), plain)  # type: ignore[arg-type]


@both_backends
def test_positions_are_left_alone(order: OrderFunction) -> None:
    positions = upto(100)
    positions.flags.writeable = False
    order(100, 0, 0, positions)
    assert positions.tolist() == list(range(100))


@both_backends
def test_zero_rows(order: OrderFunction) -> None:
    assert order(0, 1, 2, upto(0)).tolist() == []
    with pytest.raises(IndexError, match="position 0 is not below rows = 0"):
        order(0, 1, 2, upto(1))


@both_backends
def test_bad_arguments(order: OrderFunction) -> None:
    with pytest.raises(IndexError, match="position 12 is not below rows = 10"):
        order(10, 0, 0, np.array([3, 12, 13], np.uint64))
    with pytest.raises(ValueError, match=r"2\*\*62"):
        order(2**62 + 1, 0, 0, upto(1))
    for rows, seed, epoch in ((-1, 0, 0), (1, -1, 0), (1, 0, MAX + 1)):
        with pytest.raises(TypeError):
            order(rows, seed, epoch, upto(1))
    with pytest.raises(TypeError):
        order(10, 0, 0, np.arange(3))  # type: ignore[arg-type]


# Each row once


def test_bijection_at_every_small_number_of_rows() -> None:
    for rows in range(1, 5001):
        assert is_bijection(_core.order(rows, 0, rows, upto(rows))), rows


@pytest.mark.parametrize(
    "rows", sorted({2**k + d for k in range(12, 21) for d in (-1, 0, 1)} | {65537, 262145})
)
def test_bijection_around_powers_of_two(rows: int) -> None:
    for seed in range(3):
        assert is_bijection(_core.order(rows, seed, 0, upto(rows)))


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 255, 256, 257, 1024, 65535, 65536, 65537, 262145])
def test_bijection_in_numpy(rows: int) -> None:
    assert is_bijection(_order.order(rows, 0, 0, upto(rows)))


@pytest.mark.parametrize("rows", [10**9, 10**12, 2**40 + 1, 2**62 - 1, 2**62])
def test_no_row_twice_of_many(rows: int) -> None:
    size = 100_000
    scattered = np.random.default_rng(0).integers(0, rows, size, np.uint64)
    positions = np.unique(
        np.concatenate([upto(size), upto(size, rows // 2), upto(size, rows - size), scattered])
    )
    sample = _core.order(rows, 1, 2, positions)
    assert sample.min() >= 0
    assert sample.max() < rows
    assert len(np.unique(sample)) == len(positions)


# Uniformity
#
# The keys are fixed, so that a test that passes passes for ever. About 650 p-values are looked at.
# Were the orders drawn uniformly, each would be below 1e-6 or above 1 - 1e-6 with a chance of 2e-6,
# and any of them with one of 1 in 750: a failure after a change of the algorithm is a defect, not
# bad luck. benchmarks/order_quality.py asks the same of many more orders.
EXTREME = 1e-6

each_keys = pytest.mark.parametrize("keys", statistics.KEYS)


def check(p: float) -> None:
    assert EXTREME < p < 1 - EXTREME


@each_keys
@pytest.mark.parametrize("rows", [2, 3, 4, 5, 6])
def test_every_permutation_is_as_likely(rows: int, keys: str) -> None:
    check(statistics.permutations(statistics.orders(rows, statistics.KEYS[keys](60_000))))


@each_keys
@pytest.mark.parametrize("rows", [7, 9, 10, 12, 16, 17, 25, 33, 50, 64, 100, 257, 1000])
def test_small_orders_are_uniform(rows: int, keys: str) -> None:
    sample = statistics.orders(rows, statistics.KEYS[keys](12_000 if rows < 500 else 6_000))
    width = -(-rows // int(np.ceil(np.sqrt(rows))))
    check(statistics.positions(sample))
    check(statistics.differences(sample, 1))
    check(statistics.differences(sample, width))
    check(statistics.pairs(sample, 0, 1))
    check(statistics.pairs(sample, 1, 1 + width))
    check(statistics.pairs(sample, rows // 2, rows - 1))
    check(statistics.serial_correlation(sample, 1))
    check(statistics.correlation(sample))
    if rows <= 64:
        check(statistics.parity(sample))
    if rows >= 20:
        check(statistics.fixed_points(sample))
        check(statistics.agreements(sample))


@each_keys
@pytest.mark.parametrize("rows", [4097, 65_536, 65_537, 100_000, 1_000_000])
def test_large_orders_are_uniform(rows: int, keys: str) -> None:
    sample = statistics.orders(rows, statistics.KEYS[keys](max(2, 400_000 // rows)))
    width = -(-rows // int(np.ceil(np.sqrt(rows))))
    check(statistics.positions(sample))
    check(statistics.differences(sample, 1))
    check(statistics.differences(sample, width))
    check(statistics.serial_correlation(sample, 1))
    check(statistics.correlation(sample))


@pytest.mark.parametrize("rows", [1000, 65_537])
@pytest.mark.parametrize(("one", "other"), statistics.RELATED_KEYS)
def test_related_numbers_give_unrelated_orders(
    rows: int, one: tuple[int, int], other: tuple[int, int]
) -> None:
    keys = np.array([one, other], np.uint64)
    sample = statistics.orders(rows, keys)
    check(statistics.correlation(sample))
    # More than 12 agreements have a chance of 6e-11 under Poisson(1).
    assert (sample[0] == sample[1]).sum() <= 12


def test_seed_and_epoch_do_not_commute() -> None:
    numbers = upto(200)
    forwards = np.array([(a, a + 1 + b) for a in numbers for b in range(20)], np.uint64)
    keys = np.stack([forwards, forwards[:, ::-1]], axis=1).reshape(-1, 2)
    sample = statistics.orders(100, keys)
    check(statistics.agreements(sample))
    check(statistics.correlation(sample))


def test_one_more_row_gives_an_unrelated_order() -> None:
    keys = statistics.KEYS["seeds"](4000)
    few, more = statistics.orders(100, keys), statistics.orders(101, keys)[:, :100]
    sample = np.stack([few, more], axis=1).reshape(-1, 100)
    # 100 positions agree with a chance of 1 in 101 each: all but Poisson(1).
    check(statistics.agreements(sample))
