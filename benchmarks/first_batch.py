"""How soon the first shuffled batch of a very large file is there, and what it costs in memory.

    python benchmarks/first_batch.py

Makes a sparse .npy file of 1 TB (10^9 rows of 1 KiB; it takes up next to no disk). Then, in a fresh
process each time, TensorFlow being imported: the time from calling npyfast.dataset() to its first
batch, and the growth of its anonymous memory meanwhile. Measured with TensorFlow untouched,
where the time includes the start of its runtime, and after one trivial op; each of these with
none of the file in the page cache, and again with the pages that the run before has left there; and
all of it with each engine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import npyfast_build
from numpy.lib import format as npy_format
from process_memory import anonymous_bytes

_HERE = Path(__file__).resolve().parent
_ROW = (256,)  # of f4: 1 KiB


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.child is not None:
        print(
            json.dumps(_first_batch(options.child, options.batch, options.engine[0], options.warm))
        )
        return 0
    refusal = npyfast_build.refusal(allow_numpy_backend=options.allow_numpy_backend)
    if refusal is not None:
        print(refusal, file=sys.stderr)
        return 2
    description = machine.describe(options.data)
    print("\n".join(machine.summary(description)))
    path = _sparse_file(options.data, options.rows)
    print(f"{options.rows:,} rows, {path.stat().st_size / 1e12:.2f} TB, batch {options.batch}")
    results: dict[str, Any] = {}
    engines = options.engine or npyfast_build.engines()
    for engine, cold, warm in itertools.product(engines, (True, False), (False, True)):
        name = f"{engine}, after one trivial op" if warm else f"{engine}, TensorFlow untouched"
        name += ", file not cached" if cold else ", file cached"
        results[name] = _repeat(path, options, engine, warm=warm, cold=cold)
    for name, samples in results.items():
        milliseconds = [sample["milliseconds"] for sample in samples]
        grown = [sample["grown_bytes"] / 2**20 for sample in samples]
        print(
            f"{name:49} first batch after {statistics.median(milliseconds):7.1f} ms "
            f"({min(milliseconds):.1f}-{max(milliseconds):.1f}), "
            f"anonymous memory +{statistics.median(grown):.1f} MiB "
            f"({min(grown):.1f}-{max(grown):.1f})"
        )
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"benchmark": "first_batch", "machine": description, "results": results}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    if not options.keep:
        path.unlink()
    return 0


def _repeat(
    path: Path, options: argparse.Namespace, engine: str, *, warm: bool, cold: bool
) -> list[dict[str, float]]:
    # All repetitions read the same rows, so that any one leaves their pages to the next.
    if not cold:
        _in_fresh_process(path, options.batch, engine, warm)
    samples = []
    for _ in range(options.repetitions):
        if cold:
            _evict(path)
        samples.append(_in_fresh_process(path, options.batch, engine, warm))
    return samples


def _evict(path: Path) -> None:
    """Drops the file's pages from the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _first_batch(path: Path, batch: int, engine: str, warm: bool) -> dict[str, float]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    import npyfast

    if warm:
        tf.constant(1) + 1
    memory = anonymous_bytes()
    begin = time.perf_counter()
    dataset = npyfast.dataset(path, batch, shuffle=True, seed=0, engine=engine)
    first = next(iter(dataset))
    milliseconds = (time.perf_counter() - begin) * 1e3
    grown = anonymous_bytes() - memory
    assert first.shape == (batch, *_ROW), first.shape
    return {"milliseconds": milliseconds, "grown_bytes": grown}


def _in_fresh_process(path: Path, batch: int, engine: str, warm: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", str(path), "--batch", str(batch)]
    command += ["--engine", engine, *(["--warm"] if warm else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the measured process failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _sparse_file(directory: Path, rows: int) -> Path:
    """A valid .npy file of zeros that holds no blocks but its header's."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"sparse-{rows}.npy"
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, *_ROW)}
        npy_format.write_array_header_1_0(file, header)
        try:
            file.truncate(file.tell() + rows * _ROW[0] * 4)
        except OSError as error:
            raise OSError(
                f"{path}: this file system takes no sparse file of {rows} KiB; give --data on "
                "another one"
            ) from error
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Time to the first batch of a 1 TB .npy file.")
    parser.add_argument("--rows", type=int, default=10**9, help="of 1 KiB; default: 10^9")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--engine", nargs="+", choices=("graph", "generator"), help="default: both")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--data", type=Path, default=_HERE / "data", help="folder of the file")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the sparse file")
    parser.add_argument("--allow-numpy-backend", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
