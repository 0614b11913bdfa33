"""Results as tables in a terminal, as JSON, and as bars."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH = 150


def console() -> Console:
    """Wide enough for the tables, also where the output is a file."""
    found = Console(highlight=False, markup=False)
    if found.is_terminal and found.width >= _WIDTH:
        return found
    return Console(highlight=False, markup=False, width=_WIDTH)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]] = ()) -> Table:
    """The first column is text, all others are numbers."""
    # Text: rich would take brackets in a string for markup.
    made = Table(title=Text(title), title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(Text(column), justify="right" if number else "left")
    for row in rows:
        made.add_row(*(Text(each) if isinstance(each, str) else each for each in row))
    return made


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table to be pasted into a document."""
    made = table("", columns, rows)
    made.title, made.box = None, box.MARKDOWN
    return made


def digits(value: float) -> str:
    """Three digits that mean something: 0.44, 8.92, 55.1, 722, 13,646."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    return f"{digits(min(values))} to {digits(max(values))}"


def write_json(content: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


@dataclasses.dataclass
class Bar:
    """One line of a panel: samples, or a text that says why there are none."""

    label: str
    ours: bool
    samples: Sequence[float]
    note: str = ""  # after the number, or in its place


@dataclasses.dataclass
class Panel:
    title: str
    bars: Sequence[Bar]
    lines: dict[str, float] = dataclasses.field(default_factory=dict)  # to compare with, by label


def draw(title: str, panels: Sequence[Panel], columns: int, path: Path) -> None:
    """Writes a PNG of panels with the same bars: medians with their range, logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(panels) // columns)
    height = 1.6 + (0.8 + 0.27 * max(len(each.bars) for each in panels)) * rows
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(max(10, 2.5 + 4.5 * columns), height), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
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
    axes[0, 0].set_ylim(max(len(each.bars) for each in panels) - 0.5, -0.5)  # the first on top
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    figure.suptitle(title, fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


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
