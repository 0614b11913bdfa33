"""Many like files as one block of `npyfast info`, such as those that a shell lists."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

from npyfast._commands.facts import Advice, Facts
from npyfast._sources.inflated import MOST_OF_MEMORY

# With so many, separate blocks are harder to read than one.
_MANY = 4

# What may differ between like files.
_OF_EACH = ("path", "files", "bytes", "rows", "nbytes", "usable_memory", "advice", "command")


def summarised(described: Iterable[Facts], per_file: str | None) -> Iterator[Facts]:
    """The descriptions, with neighbours that are alike as one if they are many. Each is yielded as
    soon as that is known."""
    group: list[Facts] = []
    for facts in described:
        if group and _kind(facts) != _kind(group[0]):
            yield from _as_one(group, per_file)
            group = []
        group.append(facts)
    yield from _as_one(group, per_file)


def _kind(facts: Facts) -> str:
    """What like files have in common."""
    if facts["error"] is not None or any(array["error"] for array in facts["arrays"]):
        return facts["path"]  # so that each error is seen
    return json.dumps(_common(facts))


def _common(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _common(each) for key, each in value.items() if key not in _OF_EACH}
    return [_common(each) for each in value] if isinstance(value, list) else value


def _as_one(group: list[Facts], per_file: str | None) -> list[Facts]:
    if len(group) < _MANY:
        return group
    first = copy.deepcopy(group[0])
    first["path"] = f"{first['path']} and {len(group) - 1:,} more paths that are alike"
    first["files"] = sum(facts["files"] for facts in group)
    first["bytes"] = sum(facts["bytes"] for facts in group)
    for number, array in enumerate(first["arrays"]):
        each = [facts["arrays"][number] for facts in group]
        array["rows"] = sum(one["rows"] or 0 for one in each)
        array["nbytes"] = nbytes = sum(one["nbytes"] or 0 for one in each)
        if array["usable_memory"] is not None:
            array["fits_in_memory"] = nbytes < MOST_OF_MEMORY * array["usable_memory"]
        # The commands name a single path.
        array["advice"] = [{**advice, "command": None} for advice in array["advice"]]
    text = "each path is described as one array: a pattern in quotes describes all as one"
    if per_file is None and first["format"] == "npy":
        text += ", and with --per-file row each file as one row"
    first["advice"] = [Advice(code="several-paths", level="note", text=text, command=None)]
    return [first]
