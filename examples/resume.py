"""Stops in the middle of an epoch, and goes on exactly there.

    python examples/resume.py

Needs NumPy only. A training loop would save the place together with its weights.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import npyfast

EPOCHS = 3


def batches_from(path: Path, place: dict[str, int]) -> npyfast.Batches:
    return npyfast.batches(
        path,
        batch_size=64,
        shuffle=True,
        seed=place["seed"],
        epochs=EPOCHS - place["epoch"],
        start_epoch=place["epoch"],
        start_batch=place["batch"],
    )


def first_values(batches: Iterator[np.ndarray]) -> list[int]:
    return [int(batch[0, 0]) for batch in batches]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path, checkpoint = Path(folder) / "X.npy", Path(folder) / "place.json"
        np.save(path, np.arange(40_000).reshape(10_000, 4))
        start = {"seed": 7, "epoch": 0, "batch": 0}
        uninterrupted = first_values(iter(batches_from(path, start)))

        batches = batches_from(path, start)
        before = first_values(itertools.islice(iter(batches), 200))
        epoch, batch = batches.position
        checkpoint.write_text(json.dumps({"seed": 7, "epoch": epoch, "batch": batch}))
        print(f"stopped after 200 batches, before batch {batch} of epoch {epoch}")

        # From here on it could be another process, on another machine, a week later.
        resumed = batches_from(path, json.loads(checkpoint.read_text()))
        after = first_values(iter(resumed))
    same = before + after == uninterrupted
    print(f"{len(before)} + {len(after)} batches, {len(uninterrupted)} without the stop")
    print("the same batches in the same order" if same else "NOT the same batches")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
