"""What npyfast promises of data that is not in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from cold.entries import ENTRIES
from cold.results import Cell, Fit

_OWN = ("batches", "dataset-graph")
_FULL_SHARE = 0.95
_BLOCK_SHARE = 0.80
# Times as fast as from_generator over np.memmap, by the kernel's readahead in KiB.
_FROM_GENERATOR = {128: 6.0, 8192: 100.0}
_FIRST_EPOCH = 1.15
# The second epoch is to be as fast as from the page cache: that much is noise.
_SECOND_EPOCH = 1.10


@dataclasses.dataclass(frozen=True)
class Target:
    """One promise, and what was measured of it: None where nothing was."""

    name: str
    case: str
    limit: float
    at_least: bool
    measured: float | None

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "pass" if met else "miss"


def targets(cells: Sequence[Cell], fits: Sequence[Fit]) -> list[Target]:
    """All that apply to what was measured."""
    return [*_shares(cells), *_from_generator(cells), *_kills(cells), *_fits(fits)]


def case_name(cell: Cell) -> str:
    readahead = "as found" if cell.readahead_kib is None else f"{cell.readahead_kib} KiB"
    return f"{cell.row_size}, readahead {readahead}"


def _shares(cells: Sequence[Cell]) -> Iterator[Target]:
    for cell in cells:
        entry = ENTRIES[cell.entry]
        block = entry.shuffle == "block"
        # Large rows have no need of blocks.
        if entry.contender.key not in _OWN or (block and cell.row_size != "768B"):
            continue
        of = "random requests" if entry.access == "random" else "sequential speed"
        limit = _BLOCK_SHARE if block else _FULL_SHARE
        name = f"{cell.entry}, share of fio's {of}"
        yield Target(name, case_name(cell), limit, True, cell.median("share"))


def _from_generator(cells: Sequence[Cell]) -> Iterator[Target]:
    rates = {
        (cell.entry, cell.row_size, cell.readahead_kib): cell.median("rows_per_second")
        for cell in cells
    }
    for cell in cells:
        if cell.entry in _OWN and cell.readahead_kib in _FROM_GENERATOR:
            own = rates[cell.entry, cell.row_size, cell.readahead_kib]
            other = rates.get(("from-generator", cell.row_size, cell.readahead_kib))
            ratio = None if own is None or other is None else own / other
            limit = _FROM_GENERATOR[cell.readahead_kib]
            yield Target(f"{cell.entry} vs from_generator", case_name(cell), limit, True, ratio)


def _kills(cells: Sequence[Cell]) -> Iterator[Target]:
    own = [cell for cell in cells if ENTRIES[cell.entry].ours]
    started = [cell for cell in own if cell.turns or cell.killed]
    killed = float(sum(cell.killed for cell in own)) if started else None
    yield Target("npyfast killed for memory", "all", 0.0, False, killed)


def _fits(fits: Sequence[Fit]) -> Iterator[Target]:
    for fit in fits:
        case = f"{fit.row_size}, file that fits"
        first, second = fit.ratio("first", "device"), fit.ratio("second", "warm")
        yield Target(f"{fit.entry}, first epoch vs fio", case, _FIRST_EPOCH, False, first)
        yield Target(f"{fit.entry}, second epoch vs warm", case, _SECOND_EPOCH, False, second)
