"""Bars of the JSON of warm.py, cast.py or larger_than_memory.py.

Of whole epochs of files of several sizes: a line over the size, with the limit.
"""

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
    import matplotlib

    matplotlib.use("Agg")
    cold = content["benchmark"] == "larger_than_memory"
    if cold and not content["devices"]:
        _sizes(content, path)
        return
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


def _sizes(content: dict[str, Any], path: Path) -> None:
    """Rows a second of later epochs over file size / memory, and what fio and memory allow."""
    from matplotlib import pyplot

    steady = [each for each in content["later"] if each["limit"] and each["steady"]]
    groups = sorted({(each["row_size"], each["limit"]) for each in steady})
    if not groups:
        return
    figure, axes = pyplot.subplots(
        1, len(groups), figsize=(8 * len(groups), 5), squeeze=False, layout="constrained"
    )
    for axis, (row_size, limit) in zip(axes.flat, groups, strict=True):
        shown = [each for each in steady if (each["row_size"], each["limit"]) == (row_size, limit)]
        fio = statistics.median(each["device"] for each in shown)
        for entry in dict.fromkeys(each["entry"] for each in shown):
            rates: dict[float, list[float]] = {}
            for each in shown:
                if each["entry"] == entry:
                    rates.setdefault(each["file_bytes"] / limit, []).append(each["steady"])
            line = sorted((ratio, statistics.median(rate)) for ratio, rate in rates.items())
            axis.plot(*zip(*line, strict=True), "o-", label=f"npyfast, {entry}")
        largest = max(each["file_bytes"] / limit for each in shown)
        curve = [1.03 * 1.02**step for step in range(300) if 1.03 * 1.02**step <= largest]
        bound = [fio / (1 - 1 / ratio) for ratio in curve]
        axis.plot(curve, bound, "--", color="tab:red", label="fio / (1 - memory / file)")
        axis.axhline(fio, linewidth=1, color="tab:gray", label="fio, random reads of such rows")
        axis.set(xscale="log", yscale="log", xlabel="file size / memory", ylabel="rows/s")
        axis.set_title(f"rows of {row_size}, {limit / 2**30:.3g} GiB of memory, third epoch on")
        ticks = sorted({each["file_bytes"] / limit for each in shown})
        axis.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axis.minorticks_off()
        axis.grid(linewidth=0.3)
        axis.legend()
    _save(figure, path)


def _draw(title: str, panels: Sequence[Panel], columns: int, path: Path) -> None:
    """Writes a PNG of panels with the same bars: medians with their range, logarithmic."""
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
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

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
