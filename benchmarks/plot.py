"""Draws the JSON of warm.py, cast.py or larger_than_memory.py.

python benchmarks/plot.py benchmarks/results/warm.json warm.png
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from harness import report
from harness.report import Bar, Panel

_OURS = ("batches", "dataset")  # how the keys of npyfast's contenders begin


def draw(content: dict[str, Any], path: Path) -> None:
    cold = content["benchmark"] == "larger_than_memory"
    title, panels = _cold(content) if cold else _warm(content)
    columns = len({each["readahead_kib"] for each in content["devices"]}) if cold else 4
    report.draw(title, panels, min(columns, len(panels)), path)


def _warm(content: dict[str, Any]) -> tuple[str, list[Panel]]:
    cells = {(each["contender"], each["case"]): each for each in content["results"]}
    cases = [case["name"] for case in content["cases"]]
    shown = [
        contender
        for contender in content["contenders"]
        if any(cells[contender["key"], case]["samples"] for case in cases)
    ]
    panels = []
    for case in cases:
        of_case = [(each, cells[each["key"], case]) for each in shown]
        panels.append(
            Panel(
                case,
                [
                    Bar(
                        each["label"],
                        each["key"].split("-")[0] in _OURS,
                        cell["samples"],
                        cell["problem"] or "",
                    )
                    for each, cell in of_case
                ],
            )
        )
    machine = content["machine"]
    title = (
        "Shuffled batches from files in the page cache: microseconds a batch, less is better\n"
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}"
    )
    return title, panels


def _cold(content: dict[str, Any]) -> tuple[str, list[Panel]]:
    machine, plan = content["machine"], content["plan"]
    title = (
        f"Rows from a file of {plan['file_bytes'] / 2**30:.3g} GiB with "
        f"{plan['limit'] / 2**30:.3g} GiB of memory, page cache empty: MiB/s, more is better\n"
        "(in brackets the share of what fio read beside it: at random for shuffled rows, "
        "sequentially for all others)\n"
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['disk']}"
    )
    return title, [_cold_panel(content, device) for device in content["devices"]]


def _cold_panel(content: dict[str, Any], device: dict[str, Any]) -> Panel:
    mib = content["row_sizes"][device["row_size"]]["row_bytes"] / 2**20
    labels = {each["key"]: each for each in content["entries"]}
    bars = []
    for cell in content["cells"]:
        if all(cell[key] == device[key] for key in ("row_size", "readahead_kib")):
            turns, entry = cell["turns"], labels[cell["entry"]]
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the JSON of a benchmark.")
    parser.add_argument("json", type=Path)
    parser.add_argument("png", type=Path)
    options = parser.parse_args()
    draw(json.loads(options.json.read_text()), options.png)


if __name__ == "__main__":
    main()
