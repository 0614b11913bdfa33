"""Windows of tokens, as language models are trained on, and tiles of an image: npyfast and others.

    python benchmarks/windows.py

Prints medians of microseconds a batch, from files in the page cache, and the project's targets.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import command, machine, report, targets
from harness.contender import Loop, Run
from harness.turns import Schedule, turn

import npyfast

_TOKENS, _WINDOW, _SEQUENCES = 200_000_000, 1025, 64
_HEIGHT, _WIDTH, _TILE, _STRIDE, _TILES = 6000, 8000, 256, 64, 32

_MEMMAP, _RAW = "np.stack over a memmap", "raw strided copy, C++ (limit)"
_BATCHES, _DATASET = "npyfast.batches", "npyfast.dataset"


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--turns", type=int, default=7, help="of each contender; default: 7")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a turn; default: 0.5")
    parser.add_argument("--json", type=Path, default=command.RESULTS / "windows.json")
    parser.set_defaults(plot=None)
    options = parser.parse_args()
    description = command.begin(options, options.data)
    schedule = Schedule(options.turns, options.seconds, 50)
    options.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        cases = {
            f"{_SEQUENCES} x {_WINDOW} tokens": _tokens(options.data / "tokens.bin"),
            f"{_TILES} x {_TILE} x {_TILE} x 3": _tiles(options.data / "scene.npy", Path(folder)),
        }
        samples = {case: _measure(runs, schedule) for case, runs in cases.items()}
    medians = {
        case: {name: statistics.median(turns) for name, turns in found.items()}
        for case, found in samples.items()
    }
    table = report.table("Microseconds a batch: median, range", ("", *samples))
    for name in (_BATCHES, _DATASET, _MEMMAP, _RAW):
        table.add_row(name, *(_shown(found.get(name)) for found in samples.values()))
    report.console().print(table)
    tokens, tiles = samples
    wanted = [
        _target("tokens vs nanoGPT", tokens, 5.0, medians[tokens], _MEMMAP, _BATCHES),
        _target("tiles vs raw copy", tiles, 1.3, medians[tiles], _BATCHES, _RAW, at_least=False),
    ]
    command.finish(
        options, {"benchmark": "windows", "machine": description, "samples": samples}, wanted
    )


def _measure(runs: dict[str, Run], schedule: Schedule) -> dict[str, list[float]]:
    """Turns of each contender, one after the other in each round."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(schedule.rounds):
        for name, run in runs.items():
            samples[name].append(turn(run, schedule))
    for run in runs.values():
        run.close()
    return samples


def _shown(turns: list[float] | None) -> str:
    if turns is None:
        return ""
    return f"{report.digits(statistics.median(turns))} ({report.spread(turns)})"


def _target(
    name: str,
    case: str,
    limit: float,
    medians: dict[str, float],
    slow: str,
    fast: str,
    at_least: bool = True,
) -> targets.Target:
    return targets.Target(name, case, limit, at_least, medians[slow] / medians[fast])


def _ours(source: npyfast.Source, batch: int) -> dict[str, Run]:
    made = {
        _BATCHES: npyfast.batches(source, batch, shuffle=True, seed=0, epochs=-1),
        _DATASET: npyfast.dataset(source, batch, shuffle=True, seed=0, epochs=-1, engine="graph"),
    }
    return {name: _loop(lambda each=each: iter(each)) for name, each in made.items()}


def _loop(iterate: Callable[[], Iterator[Any]]) -> Run:
    return Loop(iterate, ahead=64)


def _tokens(path: Path) -> dict[str, Run]:
    if not path.exists():
        np.random.default_rng(0).integers(0, 50257, _TOKENS, dtype=np.uint16).tofile(path)

    def nano_gpt() -> Iterator[Any]:
        """As its get_batch(), without the tensors."""
        rng = np.random.default_rng(0)
        data = np.memmap(path, np.uint16, "r")
        size = _WINDOW - 1
        while True:
            places = rng.integers(0, len(data) - size, _SEQUENCES)
            x = np.stack([data[i : i + size] for i in places])
            yield x, np.stack([data[i + 1 : i + 1 + size] for i in places])

    source = npyfast.source(path, dtype="uint16", window=_WINDOW)
    return {**_ours(source, _SEQUENCES), _MEMMAP: _loop(nano_gpt)}


def _tiles(path: Path, folder: Path) -> dict[str, Run]:
    if not path.exists():
        np.save(path, np.random.default_rng(0).integers(0, 256, (_HEIGHT, _WIDTH, 3), np.uint8))
    source = npyfast.source(path, window=(_TILE, _TILE), stride=_STRIDE)

    def stacked() -> Iterator[Any]:
        rng = np.random.default_rng(0)
        scene = np.load(path, mmap_mode="r")
        while True:
            tops = rng.integers(0, (_HEIGHT - _TILE) // _STRIDE + 1, _TILES) * _STRIDE
            lefts = rng.integers(0, (_WIDTH - _TILE) // _STRIDE + 1, _TILES) * _STRIDE
            places = zip(tops, lefts, strict=True)
            yield np.stack([scene[i : i + _TILE, j : j + _TILE] for i, j in places])

    return {**_ours(source, _TILES), _MEMMAP: _loop(stacked), _RAW: _RawTiles(path, folder)}


class _RawTiles(Run):
    """Starts the program for each turn. It warms up by itself."""

    settles = False

    def __init__(self, path: Path, folder: Path) -> None:
        program = folder / "raw_tiles"
        code = Path(__file__).with_suffix("").with_name("raw_tiles.cc")
        subprocess.run(["c++", "-std=c++20", "-O3", "-pthread", code, "-o", program], check=True)
        offset = npyfast.read_header(path).data_offset
        shape = (offset, _HEIGHT, _WIDTH, _TILE, _STRIDE, _TILES, machine.cpus())
        self._command = [str(program), str(path), *map(str, shape)]

    def microseconds(self, seconds: float, at_least: int) -> float:
        del at_least
        command = [*self._command, str(max(seconds, 1.0))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
