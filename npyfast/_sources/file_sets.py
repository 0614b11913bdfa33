"""Sets of files whose names tell their number, as `npyfast.pack` writes them:
`OUT-00000-of-00012.npy` and so on."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from npyfast._errors import printable

_MEMBER = re.compile(r"(.*)-(\d{5,})-of-(\d{5,})\.npy", re.ASCII | re.DOTALL)

_WAY_OUT = "list the files that you want by their paths"


class _Member(NamedTuple):
    path: str
    number: str
    of: str


def check_sets(files: Sequence[str], named: Collection[str]) -> None:
    """Raises ValueError if a pattern or a directory found part of a set, two sets of one name, or a
    set next to the single file of that name: rows would be missing or duplicated.

    Files that are `named`, each by its own path, may be a part of a set, but not of two.
    """
    sets: dict[str, list[_Member]] = {}
    for path in files:
        match = _MEMBER.fullmatch(path) if "-of-" in path else None
        if match is not None:
            stem, number, count = match.groups()
            sets.setdefault(stem, []).append(_Member(path, number, count))
    every = set(files) if sets else set()
    for stem, members in sets.items():
        first = members[0]
        for other in members:
            if int(other.of) != int(first.of):
                raise ValueError(
                    printable(
                        f"{first.path} and {other.path} are of two sets, which would be mixed up: "
                        "remove one of them, or write a pattern that finds one"
                    )
                )
        found = [member for member in members if member.path not in named]
        if not found:
            continue
        if f"{stem}.npy" in every:
            raise ValueError(
                printable(
                    f"{stem}.npy and {first.path} are the same output, in one file and in several, "
                    f"and would be mixed up: remove one of them, or {_WAY_OUT}"
                )
            )
        _check_complete(stem, members)


def _check_complete(stem: str, members: Sequence[_Member]) -> None:
    count = int(members[0].of)
    numbers: dict[int, str] = {}
    for position, (path, number, _) in enumerate(members, 1):
        other = numbers.setdefault(int(number), path)
        if len(numbers) < position:
            raise ValueError(
                printable(
                    f"{path}: is found twice, or is {other} by another name: its rows would come "
                    "twice"
                )
            )
    # Other programs count from 1.
    begin = 1 if count in numbers and 0 not in numbers else 0
    beyond = max(numbers) - begin
    if beyond >= count:
        raise ValueError(
            printable(
                f"{numbers[max(numbers)]}: has a number beyond those of its set of {count:,}: "
                f"remove it, or {_WAY_OUT}"
            )
        )
    if len(numbers) == count:
        return
    missing = next(number for number in range(begin, begin + count) if number not in numbers)
    first = members[0]
    name = f"{stem}-{missing:0{len(first.number)}}-of-{first.of}.npy"
    raise ValueError(
        printable(
            f"{name}: is missing, and with it some rows: {len(numbers):,} of {count:,} files of "
            f"its set are there; copy the rest, or {_WAY_OUT}"
        )
    )
