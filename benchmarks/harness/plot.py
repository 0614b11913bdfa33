"""Bars of the JSON of warm.py, cast.py or larger_than_memory.py."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.report import digits


@dataclasses.dataclass
class Bar:
    """One line of a panel: samples, or a text that says why there are none."""

    label: str
    ours: bool
    samples: Sequence[float]
    note: str  # after the number, or in its place


@dataclasses.dataclass
class Panel:
    title: str
    bars: Sequence[Bar]
    lines: dict[str, float] = dataclasses.field(default_factory=dict)  # to compare with, by label


def plot(content: dict[str, Any], path: Path) -> None:
    cold = content["benchmark"] == "larger_than_memory"
    title, panels = _cold(content) if cold else _warm(content)
    columns = len({each["readahead_kib"] for each in content["devices"]}) if cold else 4
    machine = content["machine"]
    about = machine["disk" if cold else "system"]
    title += f"\n{machine['cpu']}, {machine['cpus']} CPUs, {about}"
    _draw(title, panels, min(columns, len(panels)), path)


def _warm(content: dict[str, Any]) -> tuple[str, list[Panel]]:
    cells = {(each["contender"], each["case"]): each for each in content["results"]}
    measured = {each["contender"] for each in content["results"] if each["samples"]}
    shown = [each for each in content["contenders"] if each["key"] in measured]
    panels = []
    for case in content["cases"]:
        bars = []
        for each in shown:
            cell = cells[each["key"], case["name"]]
            ours = each["key"].split("-")[0] in ("batches", "dataset")
            bars.append(Bar(each["label"], ours, cell["samples"], cell["problem"] or ""))
        panels.append(Panel(case["name"], bars))
    title = "Shuffled batches from files in the page cache: microseconds a batch, less is better"
    return title, panels


def _cold(content: dict[str, Any]) -> tuple[str, list[Panel]]:
    size, limit = (content["plan"][each] / 2**30 for each in ("file_bytes", "limit"))
    title = (
        f"Rows from a file of {size:.3g} GiB with {limit:.3g} GiB of memory, page cache empty: "
        "MiB/s, more is better\n(in brackets the share of what fio read beside it: at random for "
        "shuffled rows, sequentially for all others)"
    )
    return title, [_cold_panel(content, device) for device in content["devices"]]


def _cold_panel(content: dict[str, Any], device: dict[str, Any]) -> Panel:
    mib = content["row_sizes"][device["row_size"]]["row_bytes"] / 2**20
    entries = {each["key"]: each for each in content["entries"]}
    bars = []
    for cell in content["cells"]:
        if all(cell[key] == device[key] for key in ("row_size", "readahead_kib")):
            turns, entry = cell["turns"], entries[cell["entry"]]
            note = cell["problem"] or "not measured"
            if turns:
                note = f" ({statistics.median(each['share'] for each in turns):.0%})"
            rates = [each["rows_per_second"] * mib for each in turns]
            bars.append(Bar(entry["label"], entry["ours"], rates, note))
    lines = {}
    if device["random"]:
        rate = statistics.median(device["random"]) * mib
        lines["fio, random reads of such rows"] = rate
    if device["sequential"]:
        lines["fio, sequential"] = statistics.median(device["sequential"]) / 2**20
    kib = device["readahead_kib"]
    setting = "as found" if kib is None else f"{kib} KiB"
    return Panel(f"rows of {device['row_size']}, kernel readahead {setting}", bars, lines)


def _draw(title: str, panels: Sequence[Panel], columns: int, path: Path) -> None:
    """Writes a PNG of panels with the same bars: medians with their range, logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(panels) // columns)
    most = max(len(each.bars) for each in panels)
    size = (max(10, 2.5 + 4.5 * columns), 1.6 + (0.8 + 0.27 * most) * rows)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes.flat, panels, strict=False):
        for position, bar in enumerate(panel.bars):
            _bar(axis, position, bar)
        for (label, value), color in zip(panel.lines.items(), ("red", "green"), strict=False):
            axis.axvline(value, color=f"tab:{color}", linewidth=1, label=label)
        axis.set_title(panel.title, fontsize=11)
        axis.set_xscale("log")
        axis.margins(x=0.3)
        axis.grid(axis="x", linewidth=0.3)
        axis.set_axisbelow(True)
        axis.set_yticks(range(len(panel.bars)), [bar.label for bar in panel.bars])
        axis.tick_params(labelsize=9)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    axes[0, 0].set_ylim(most - 0.5, -0.5)  # the first on top
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    figure.suptitle(title, fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    print(f"Written: {path}")


def _bar(axis: Any, position: int, bar: Bar) -> None:
    if not bar.samples:
        # At the panel's left edge, wherever the logarithmic scale begins.
        across = axis.get_yaxis_transform()
        text = f" {bar.note}"
        axis.text(0, position, text, transform=across, va="center", fontsize=8, color="gray")
        return
    median, low, high = statistics.median(bar.samples), min(bar.samples), max(bar.samples)
    color = "tab:blue" if bar.ours else "lightgray"
    error = [[median - low], [high - median]]
    axis.barh(position, median, xerr=error, color=color, error_kw={"linewidth": 0.8})
    text = f" {digits(median)}{bar.note}"
    axis.annotate(text, (high, position), va="center", fontsize=8)
