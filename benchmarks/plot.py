"""Draws the JSON of warm.py: grouped bars, logarithmic scale.

python benchmarks/plot.py benchmarks/results/warm.json warm.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_OURS = ("batches", "dataset-graph", "dataset-generator", "dataset-graph-in-function")


def draw(content: dict[str, Any], path: Path) -> None:
    """Writes a PNG: one group of bars a case, one bar a contender that was measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = [case["name"] for case in content["cases"]]
    by_cell = {
        (each["contender"], each["case"]): each for each in content["results"] if each["samples"]
    }
    shown = [
        contender
        for contender in content["contenders"]
        if any((contender["key"], case) in by_cell for case in cases)
    ]
    columns = min(4, len(cases))
    rows = -(-len(cases) // columns)
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(1.5 + 4.2 * columns, 1.2 + (0.6 + 0.27 * len(shown)) * rows),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    muted = pyplot.get_cmap("tab20c")(18)
    for axis, case in zip(axes.flat, cases, strict=False):
        for position, contender in enumerate(shown):
            result = by_cell.get((contender["key"], case))
            if result is None:
                continue
            median, low, high = result["median"], min(result["samples"]), max(result["samples"])
            color = {True: "tab:blue", False: muted}[contender["key"] in _OURS]
            axis.barh(
                position,
                median,
                xerr=[[median - low], [high - median]],
                color=color,
                error_kw={"linewidth": 0.8},
            )
            axis.annotate(
                f" {median:,.0f}" if median >= 100 else f" {median:.3g}",
                (high, position),
                va="center",
                fontsize=8,
            )
        axis.set_title(case, fontsize=11)
        axis.set_xscale("log")
        axis.margins(x=0.25)
        axis.grid(axis="x", linewidth=0.3)
        axis.set_axisbelow(True)
        axis.set_yticks(range(len(shown)), [contender["label"] for contender in shown])
        axis.tick_params(labelsize=9)
    for axis in axes.flat[len(cases) :]:
        axis.set_visible(False)
    if not axes[0, 0].yaxis_inverted():
        axes[0, 0].invert_yaxis()
    machine = content["machine"]
    figure.suptitle(
        "Shuffled batches from files in the page cache: microseconds a batch, less is better\n"
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}",
        fontsize=12,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the JSON of warm.py.")
    parser.add_argument("json", type=Path)
    parser.add_argument("png", type=Path)
    options = parser.parse_args()
    draw(json.loads(options.json.read_text()), options.png)


if __name__ == "__main__":
    main()
