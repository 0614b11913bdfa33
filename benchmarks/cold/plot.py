"""Draws the JSON of larger_than_memory.py: one panel a row size and setting, bars of rows/s."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any


def draw(content: dict[str, Any], path: Path) -> None:
    """Writes a PNG: MiB/s of rows, logarithmic, with what fio measured beside as lines.

    For content with the part `larger`.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    devices = content["devices"]
    entries = content["entries"]
    row_sizes = list(dict.fromkeys(device["row_size"] for device in devices))
    settings = list(dict.fromkeys(device["readahead_kib"] for device in devices))
    figure, axes = pyplot.subplots(
        len(row_sizes),
        len(settings),
        figsize=(3.5 + 5.5 * len(settings), 1.6 + (0.8 + 0.27 * len(entries)) * len(row_sizes)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for device in devices:
        axis = axes[row_sizes.index(device["row_size"]), settings.index(device["readahead_kib"])]
        size = content["row_sizes"][device["row_size"]]
        cells = {
            cell["entry"]: cell
            for cell in content["cells"]
            if cell["row_size"] == device["row_size"]
            and cell["readahead_kib"] == device["readahead_kib"]
        }
        for position, entry in enumerate(entries):
            _bar(axis, position, entry, cells[entry["key"]], size["row_bytes"])
        _lines(axis, device, size["row_bytes"])
        setting = device["readahead_kib"]
        setting = "as found" if setting is None else f"{setting} KiB"
        axis.set_title(f"rows of {device['row_size']}, kernel readahead {setting}", fontsize=11)
        axis.set_xscale("log")
        axis.margins(x=0.35)
        axis.grid(axis="x", linewidth=0.3)
        axis.set_axisbelow(True)
        axis.set_yticks(range(len(entries)), [entry["label"] for entry in entries])
        axis.tick_params(labelsize=9)
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    machine, plan = content["machine"], content["plan"]
    figure.suptitle(
        f"Rows from a file of {plan['file_bytes'] / 2**30:.3g} GiB with "
        f"{plan['limit'] / 2**30:.3g} GiB of memory, page cache empty: MiB/s, more is better\n"
        "(in brackets the share of what fio read beside it: at random for shuffled rows, "
        "sequentially for all others)\n"
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['disk']}",
        fontsize=12,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _bar(axis: Any, position: int, entry: dict[str, Any], cell: dict[str, Any], row: int) -> None:
    rates = [turn["rows_per_second"] * row / 2**20 for turn in cell["turns"]]
    if not rates:
        text = f" {cell['problem'] or 'not measured'}"
        # At the panel's left edge, wherever the logarithmic scale begins.
        across = axis.get_yaxis_transform()
        axis.text(0, position, text, transform=across, va="center", fontsize=8, color="gray")
        return
    median = statistics.median(rates)
    axis.barh(
        position,
        median,
        xerr=[[median - min(rates)], [max(rates) - median]],
        color="tab:blue" if entry["ours"] else "lightgray",
        error_kw={"linewidth": 0.8},
    )
    share = statistics.median(turn["share"] for turn in cell["turns"])
    text = f" {median:,.0f}" if median >= 100 else f" {median:.3g}"
    axis.annotate(f"{text} ({share:.0%})", (max(rates), position), va="center", fontsize=8)


def _lines(axis: Any, device: dict[str, Any], row: int) -> None:
    if device["random"]:
        rate = statistics.median(device["random"]) * row / 2**20
        axis.axvline(rate, color="tab:red", linewidth=1, label="fio, random reads of such rows")
    if device["sequential"]:
        rate = statistics.median(device["sequential"]) / 2**20
        axis.axvline(rate, color="tab:green", linewidth=1, linestyle="--", label="fio, sequential")
