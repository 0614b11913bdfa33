"""The plot of `npyfast bench`."""

from __future__ import annotations

import importlib
import os
from typing import Any

from npyfast._commands.bench.facts import Facts


def import_matplotlib() -> Any:
    """The module matplotlib.pyplot, or an ImportError that says what to install."""
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install matplotlib") from error
    matplotlib.use("Agg")
    return importlib.import_module("matplotlib.pyplot")


def check_plot(path: str) -> None:
    """Raises before anything is measured if the plot cannot be written."""
    import_matplotlib()
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(2, "No such directory", folder)


def plot(facts: Facts, title: str, path: str) -> None:
    """Bars of samples a second, and lines for the disk."""
    pyplot = import_matplotlib()
    shown = [each for each in facts["contenders"] if each["rows_per_second"] is not None]
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.45 * len(shown)), layout="constrained")
    names = [each["name"] for each in shown]
    rates = [each["rows_per_second"] for each in shown]
    colors = ["#1f77b4" if name.startswith("npyfast") else "#b0b0b0" for name in names]
    bars = axes.barh(names, rates, color=colors)
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3)
    disk, row_bytes = facts["disk"], facts["source"]["row_bytes"]
    lines = {"disk, cold, random rows": disk["random_rows_per_second"]}
    if disk["sequential_bytes_per_second"] is not None and row_bytes:
        lines["disk, cold, in file order"] = disk["sequential_bytes_per_second"] / row_bytes
    for style, (name, rate) in zip(("--", ":"), lines.items(), strict=False):
        if rate is not None:
            axes.axvline(rate, color="black", linestyle=style, label=f"{name}: {rate:,.0f}")
            axes.legend(loc="lower right", fontsize="small")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:,.0f}")
    axes.set_xlabel(f"samples a second, batches of {facts['batch_size']:,}, shuffled")
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
