"""Compares orders with uniformly random ones, using many more of them than the tests do.

    python benchmarks/order_quality.py [--scale 1.0]

A cell is the p-value furthest from 1/2 among the four kinds of keys: seeds 0, 1, 2, ...; epochs
0, 1, 2, ...; both; and numbers that differ in high bits. All p-values together should be uniform
on [0, 1], which the last lines test.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import report
from scipy import stats
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
import order_statistics as statistics

from npyfast import _core

# Rows, and how many orders of them for each kind of keys.
PERMUTATIONS = {2: 2_000_000, 3: 2_000_000, 4: 2_000_000, 5: 2_000_000, 6: 2_000_000, 7: 1_000_000}
OTHERS = {
    9: 500_000, 12: 500_000, 13: 500_000, 17: 500_000, 33: 250_000, 64: 125_000, 100: 100_000,
    257: 40_000, 1000: 10_000, 4097: 2500, 16_384: 600, 65_536: 150, 65_537: 150, 100_000: 100,
    1_000_000: 10,
}  # fmt: skip

Statistic = Callable[[statistics.Orders], float]


def statistics_for(rows: int) -> dict[str, Statistic]:
    width = -(-rows // int(np.ceil(np.sqrt(rows))))
    found: dict[str, Statistic] = {
        "positions": statistics.positions,
        "differences 1": lambda s: statistics.differences(s, 1),
        "differences w": lambda s: statistics.differences(s, width),
        "serial": lambda s: statistics.serial_correlation(s, 1),
        "correlation": statistics.correlation,
    }
    if rows <= 4000:
        found["pair 0, 1"] = lambda s: statistics.pairs(s, 0, 1)
        found["pair 1, 1+w"] = lambda s: statistics.pairs(s, 1, 1 + width)
    if rows <= 64:
        found["parity"] = statistics.parity
    if 20 <= rows <= 4000:
        found["fixed"] = statistics.fixed_points
        found["agreements"] = statistics.agreements
    return found


COLUMNS = list(dict.fromkeys(name for rows in (9, 64) for name in statistics_for(rows)))


def p_values(rows: int, count: int, chosen: dict[str, Statistic]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in chosen}
    for keys in statistics.KEYS.values():
        sample = statistics.orders(rows, keys(count))
        for name, statistic in chosen.items():
            found[name].append(statistic(sample))
    return found


def furthest(values: list[float] | None) -> str:
    return f"{max(values, key=lambda p: abs(p - 0.5)):.4f}" if values else ""


def nanoseconds_a_row(rows: int) -> float:
    positions = np.arange(rows, dtype=np.uint64)
    times = []
    for epoch in range(25):
        start = time.perf_counter()
        _core.order(rows, 0, epoch, positions)
        times.append((time.perf_counter() - start) / rows * 1e9)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of orders")
    scale = parser.parse_args().scale
    console = report.console()
    everything: list[float] = []

    console.print(f"order version {_core.ORDER_VERSION}\n")
    table: list[tuple[str, ...]] = []
    for rows, count in tqdm(PERMUTATIONS.items()):
        count = int(count * scale)
        found = p_values(rows, count, {"": statistics.permutations})[""]
        everything += found
        table.append((str(rows), f"4 x {count:,}", furthest(found)))
    console.print(report.markdown(("rows", "orders", "each of the rows! orders"), table))

    table = []
    for rows, count in tqdm(OTHERS.items()):
        count = max(2, int(count * scale))
        by_name = p_values(rows, count, statistics_for(rows))
        everything += [p for values in by_name.values() for p in values]
        cells = (furthest(by_name.get(name)) for name in COLUMNS)
        table.append((f"{rows:,}", f"4 x {count:,}", *cells))
    console.print(report.markdown(("rows", "orders", *COLUMNS), table))

    uniform = stats.kstest(everything, "uniform").pvalue
    least, most = min(everything), max(everything)
    console.print(f"{len(everything)} p-values from {least:.2g} to 1 - {1 - most:.2g}")
    console.print(f"uniform on [0, 1]: p = {uniform:.3f} (Kolmogorov-Smirnov)")
    speeds = [(f"{n:,}", f"{nanoseconds_a_row(n):.1f}") for n in (1000, 10_000, 100_000, 1_000_000)]
    console.print(report.markdown(("rows", "ns a row, at best, from Python"), speeds))


if __name__ == "__main__":
    main()
