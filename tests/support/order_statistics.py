"""Statistics that tell an order from a uniform choice among all n! of them.

Each takes many orders and returns a p-value: for orders drawn uniformly it is itself uniform on
[0, 1], so that a defect drives it to 0, or, where orders are more even than chance allows, to 1.
test_order.py asks them of a few orders, benchmarks/order_quality.py of many.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from npyfast import _core

Keys = npt.NDArray[np.uint64]  # (count, 2): seed, epoch
Orders = npt.NDArray[np.int64]  # (count, rows)

MAX = 2**64 - 1

# Pairs of (seed, epoch) that a weak hash would confuse.
RELATED_KEYS = [
    ((0, 1), (1, 0)),
    ((3, 7), (7, 3)),
    ((0, 0), (1, 1)),
    ((0, 0), (MAX, MAX)),
    ((0, 0), (0, 2**63)),
]

# Neighbours in each of the two numbers, alone and together, and numbers that differ in high bits.
KEYS: dict[str, Callable[[int], Keys]] = {
    "seeds": lambda count: _keys(np.arange(count), np.zeros(count)),
    "epochs": lambda count: _keys(np.zeros(count), np.arange(count)),
    "both": lambda count: _keys(np.arange(count) // 1000, np.arange(count) % 1000),
    "high bits": lambda count: _keys(np.arange(count) % 1000 << 54, np.arange(count) // 1000 << 40),
}


def _keys(seeds: npt.NDArray[np.generic], epochs: npt.NDArray[np.generic]) -> Keys:
    return np.stack([seeds.astype(np.uint64), epochs.astype(np.uint64)], axis=1)


def orders(rows: int, keys: Keys) -> Orders:
    positions = np.arange(rows, dtype=np.uint64)
    out = np.empty((len(keys), rows), np.int64)
    for i, (seed, epoch) in enumerate(keys.tolist()):
        out[i] = _core.order(rows, seed, epoch, positions)
    return out


def _chi_squared(counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> float:
    """The p-value of `counts` where the cells have these shares of the whole."""
    expected = shares / shares.sum() * counts.sum()
    deviation = float(((counts - expected) ** 2 / expected).sum())
    return float(stats.chi2.sf(deviation, len(counts) - 1))


def even(cells: npt.NDArray[np.int64], count: int) -> float:
    """Each number below `count` is as frequent."""
    return _chi_squared(np.bincount(cells.ravel(), minlength=count), np.ones(count))


def _bins(rows: int, most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The bin of each number below rows, and the size of each bin."""
    bins = np.arange(rows) * min(rows, most) // rows
    return bins, np.bincount(bins)


def permutations(sample: Orders) -> float:
    """Every one of the n! orders is as likely. For up to 8 rows."""
    rows = sample.shape[1]
    index = np.zeros(len(sample), np.int64)
    for i in range(rows):
        smaller = (sample[:, i + 1 :] < sample[:, i : i + 1]).sum(axis=1)
        index = index * (rows - i) + smaller
    return even(index, math.factorial(rows))


def positions(sample: Orders) -> float:
    """Every row is as likely at every position: chi-squared over a table of up to 32 x 32 cells.

    A table whose margins are fixed has (r - 1)(c - 1) degrees of freedom, and its entries vary by
    n / (n - 1) more than independent ones do.
    """
    count, rows = sample.shape
    bins, sizes = _bins(rows, 32)
    cells = bins[None, :] * len(sizes) + bins[sample]
    table = np.bincount(cells.ravel(), minlength=len(sizes) ** 2)
    expected = count * np.outer(sizes, sizes).ravel() / rows
    deviation = float(((table - expected) ** 2 / expected).sum()) * (rows - 1) / rows
    return float(stats.chi2.sf(deviation, (len(sizes) - 1) ** 2))


def pairs(sample: Orders, first: int, second: int) -> float:
    """The rows at two positions are as likely to be any two: up to 24 x 24 cells."""
    bins, sizes = _bins(sample.shape[1], 24)
    shares = np.outer(sizes, sizes) - np.diag(sizes)
    counts = np.zeros_like(shares)
    np.add.at(counts, (bins[sample[:, first]], bins[sample[:, second]]), 1)
    possible = shares > 0
    return _chi_squared(counts[possible], shares[possible].astype(float))


def differences(sample: Orders, lag: int) -> float:
    """Rows `lag` positions apart differ by each of 1 ... n - 1, modulo n, as often.

    The differences within one order are nearly independent of one another where there are many, and
    not at all where there are few: of an order with under 100 rows only one is counted.
    """
    rows = sample.shape[1]
    if rows < 100:
        start = np.arange(len(sample)) % rows
        each = np.arange(len(sample))
        difference = sample[each, (start + lag) % rows] - sample[each, start]
    else:
        difference = np.roll(sample, -lag, axis=1) - sample
    bins, sizes = _bins(rows, 1024)
    sizes[0] -= 1  # No row differs from another by 0.
    counts = np.bincount(bins[difference.ravel() % rows], minlength=len(sizes))
    possible = sizes > 0
    return _chi_squared(counts[possible], sizes[possible].astype(float))


def parity(sample: Orders) -> float:
    """Half of the orders are even."""
    odd = np.zeros(len(sample), np.int64)
    for i in range(sample.shape[1]):
        odd += (sample[:, i + 1 :] < sample[:, i : i + 1]).sum(axis=1)
    return even(odd % 2, 2)


def fixed_points(sample: Orders) -> float:
    """The number of rows that stay in place is Poisson(1), nearly so from about 20 rows up."""
    return _poisson((sample == np.arange(sample.shape[1])).sum(axis=1))


def agreements(sample: Orders) -> float:
    """So is the number of positions where an order and the next have the same row."""
    return _poisson((sample[0:-1:2] == sample[1::2]).sum(axis=1))


def _poisson(numbers: npt.NDArray[np.int64]) -> float:
    most = 5
    counts = np.bincount(np.minimum(numbers, most), minlength=most + 1)
    shares = stats.poisson.pmf(np.arange(most + 1), 1)
    shares[most] = stats.poisson.sf(most - 1, 1)
    return _chi_squared(counts, shares)


def _normal(sums: npt.NDArray[np.float64], variance: float) -> float:
    """The p-value of a mean of 0, for independent sums of this variance."""
    return 2 * float(stats.norm.sf(abs(sums.sum()) / math.sqrt(len(sums) * variance)))


def _centred(sample: Orders) -> npt.NDArray[np.float64]:
    rows = sample.shape[1]
    result: npt.NDArray[np.float64] = (sample - (rows - 1) / 2) / math.sqrt((rows**2 - 1) / 12)
    return result


def correlation(sample: Orders) -> float:
    """An order and the next are uncorrelated: Pearson's r has mean 0 and variance 1 / (n - 1)."""
    x = _centred(sample)
    rows = sample.shape[1]
    return _normal((x[0:-1:2] * x[1::2]).mean(axis=1), 1 / (rows - 1))


def serial_correlation(sample: Orders, lag: int) -> float:
    """Rows `lag` positions apart in a circle have a correlation of -1 / (n - 1), for n > 3.

    The variance is Wald and Wolfowitz's (1943), for centred numbers with sums of powers s2 and s4.
    It holds for a lag that has no divisor in common with n.
    """
    x = _centred(sample)
    n = sample.shape[1]
    s2, s4 = float(n), float((x[0] ** 4).sum())
    variance = (s2**2 - s4) / (n - 1) + (s2**2 - 2 * s4) / ((n - 1) * (n - 2))
    variance -= s2**2 / (n - 1) ** 2
    return _normal((x * np.roll(x, -lag, axis=1)).sum(axis=1) + s2 / (n - 1), variance)
