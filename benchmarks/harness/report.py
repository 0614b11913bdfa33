"""Results as tables in a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

_WIDTH = 150


def console() -> Console:
    """Wide enough for the tables, also where the output is a file."""
    width = Console().width if Console().is_terminal else 0
    # Without markup: labels have brackets.
    return Console(highlight=False, markup=False, width=max(width, _WIDTH))


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[RenderableType]] = ()
) -> Table:
    """The first column is text, all others are numbers."""
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
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
    print(f"Written: {path}")
