"""Prints and draws how well `shuffle="block"` mixes, compared with two other shuffles.

    python benchmarks/mixing_quality.py

They are a full shuffle and a shuffle buffer, `tf.data.Dataset.shuffle(buffer_size)` over the rows
in file order. A block shuffle holds two windows in memory: one being shuffled, one being read. So
the buffer has the rows of two windows. No data is read: everything follows from the orders.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import command, report

import npyfast
from npyfast import _core
from npyfast._order.shuffle import block_sizes

Rows = npt.NDArray[np.int64]  # the row at each position of an epoch

BATCH = 256
EPOCHS = 3


def shuffled(rows: int, shuffle: Any, epoch: int) -> Rows:
    numbers = npyfast.batches(np.arange(rows), rows, shuffle, seed=0, start_epoch=epoch)
    return next(iter(numbers))


def shuffle_buffer(rows: int, size: int, epoch: int) -> Rows:
    """The order of `Dataset.range(rows).shuffle(size)`, as it is defined: a slot of the buffer,
    drawn uniformly, gives its row and takes the next one of the file; once the file has ended the
    rows that are left come in random order."""
    draws = np.random.default_rng(epoch)
    size = min(size, rows)
    slots = draws.integers(0, size, rows - size)
    buffer, out = np.arange(size), np.empty(rows, np.int64)
    held, given = memoryview(buffer), memoryview(out)
    for step, slot in enumerate(memoryview(slots)):
        given[step] = held[slot]
        held[slot] = size + step
    out[rows - size :] = draws.permutation(buffer)
    return out


def distances(order: Rows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How far rows travel, and how far apart neighbours of the file come, as parts of an epoch."""
    rows = len(order)
    positions = np.empty(rows, np.int64)
    positions[order] = np.arange(rows)
    return np.abs(positions - np.arange(rows)) / rows, np.abs(np.diff(positions)) / rows


def quantiles(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        **{f"{q} %": float(np.percentile(values, q)) for q in (1, 10, 50, 90, 99)},
    }


def measure(order: Rows, block_rows: int) -> dict[str, Any]:
    """What the order of one epoch is like."""
    rows = len(order)
    batches = order[: rows // BATCH * BATCH].reshape(-1, BATCH)
    # The mean of a batch, were it drawn from all rows, varies by 1 / sqrt(12 BATCH).
    spread = (batches.mean(axis=1) / rows).std() * np.sqrt(12 * BATCH)
    near = np.sort(batches[:: max(1, len(batches) // 20_000)] // block_rows, axis=1)
    same = near[:, 1:] == near[:, :-1]
    edge = np.zeros((len(near), 1), bool)
    shared = np.hstack([same, edge]) | np.hstack([edge, same])
    travelled, neighbours = distances(order)
    return {
        "travelled": quantiles(travelled),
        "neighbours": quantiles(neighbours),
        "spread of batch means": float(spread),
        "rows near another of the batch": float(shared.mean()),
    }


def mean_of(epochs: list[Any]) -> Any:
    if isinstance(epochs[0], dict):
        return {key: mean_of([each[key] for each in epochs]) for key in epochs[0]}
    return float(np.mean(epochs))


def nanoseconds_a_row(rows: int, sizes: tuple[int, int] | None, batch: int) -> float:
    """What the row numbers of one batch after the other cost, through the Python binding."""
    plan = _core.Plan(
        start=0, step=1, size=rows, list=None, batch_size=batch, seed=0, blocks=sizes,
        shard_index=0, shard_count=1, drop_remainder=False,
    )  # fmt: skip
    times = []
    for epoch in range(25):
        start = time.perf_counter()
        for index in range(200):
            plan.rows(epoch, index % (rows // batch))
        times.append((time.perf_counter() - start) / (200 * batch) * 1e9)
    return min(times)


def show(measured: dict[str, dict[str, Any]], cost: dict[str, dict[str, float]]) -> None:
    console = report.console()
    for key, title in (
        ("travelled", "how far rows travel: |position in the epoch - row| / rows"),
        ("neighbours", "how far apart neighbours of the file come: |difference| / rows"),
    ):
        columns = ["", *next(iter(measured.values()))[key]]
        rows = [
            (name, *(f"{x:.2g}" for x in each[key].values())) for name, each in measured.items()
        ]
        console.print(title, report.markdown(columns, rows), sep="\n")
    spread, near = "spread of batch means", "rows near another of the batch"
    rows = [(k, f"{each[spread]:.2f}", f"{100 * each[near]:.2g} %") for k, each in measured.items()]
    console.print(report.markdown(("", spread, near), rows))
    rows = [(k, *(f"{value:.1f} ns a row" for value in each.values())) for k, each in cost.items()]
    console.print(report.markdown(("batches of", "full shuffle", "block shuffle"), rows))


def draw(orders: dict[str, Rows], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        2, len(orders), figsize=(11, 7), height_ratios=(3, 2), layout="constrained"
    )
    for column, (name, order) in enumerate(orders.items()):
        rows = len(order)
        at = np.sort(np.random.default_rng(0).integers(0, rows, 6000))
        above, below = axes[:, column]
        above.scatter(at / rows, order[at] / rows, s=1, color="tab:blue", linewidths=0)
        above.set(title=name, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        above.set(xlabel="place in the epoch", ylabel="place in the file")
        bins = np.logspace(-7, 0, 71)
        labels = (("how far rows travel", "blue"), ("how far apart neighbours come", "orange"))
        for distance, (label, color) in zip(distances(order), labels, strict=True):
            counts, _ = np.histogram(distance, bins)
            share = np.concatenate([[0], counts.cumsum()]) / len(distance)
            below.plot(bins, share, color=f"tab:{color}", label=label)
        below.set(xscale="log", xlim=(1e-6, 1), ylim=(0, 1))
        below.set(xlabel="at most this part of an epoch", ylabel="share of the rows")
        below.grid(linewidth=0.3)
    axes[1, 0].legend(loc="upper left", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--row-bytes", type=int, default=768)
    parser.add_argument("--out", type=Path, default=command.RESULTS / "mixing.json")
    options = parser.parse_args()
    rows = options.rows
    sizes = block_sizes(npyfast.BlockShuffle(), options.row_bytes, None)
    buffer = 2 * sizes.window_rows
    makers = {
        "full shuffle": lambda epoch: shuffled(rows, True, epoch),
        "block shuffle": lambda epoch: shuffled(rows, npyfast.BlockShuffle(*sizes), epoch),
        "shuffle buffer": lambda epoch: shuffle_buffer(rows, buffer, epoch),
    }
    print(
        f"{rows:,} rows of {options.row_bytes} bytes; blocks of {sizes.block_rows:,} rows, windows "
        f"of {sizes.window_rows:,}, a buffer of {buffer:,}; batches of {BATCH}; {EPOCHS} epochs\n"
    )
    measured = {
        name: mean_of([measure(make(epoch), sizes.block_rows) for epoch in range(EPOCHS)])
        for name, make in makers.items()
    }
    blocks = {"full shuffle": None, "block shuffle": tuple(sizes)}
    cost = {
        str(batch): {name: nanoseconds_a_row(rows, each, batch) for name, each in blocks.items()}
        for batch in (32, 256, 4096)
    }
    show(measured, cost)
    content = {
        "rows": rows,
        "row_bytes": options.row_bytes,
        "block_rows": sizes.block_rows,
        "window_rows": sizes.window_rows,
        "buffer_rows": buffer,
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "block_order_version": npyfast.build_info()["block_order_version"],
        "measured": measured,
        "nanoseconds a row, by batch size": cost,
    }
    report.write_json(content, options.out)
    draw({name: make(0) for name, make in makers.items()}, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
