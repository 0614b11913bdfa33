"""Stops in the middle of an epoch and resumes exactly there.

    python examples/resume.py

Requires NumPy only. A training loop would save the state with its weights.
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


def first_values(batches: Iterator[np.ndarray]) -> list[int]:
    return [int(batch[0, 0]) for batch in batches]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path, checkpoint = Path(folder) / "X.npy", Path(folder) / "state.json"
        np.save(path, np.arange(40_000).reshape(10_000, 4))

        def start() -> npyfast.BatchIterator:
            return iter(npyfast.batches(path, 64, shuffle=True, seed=7, epochs=EPOCHS))

        uninterrupted = first_values(start())

        stopped = start()
        before = first_values(itertools.islice(stopped, 200))
        checkpoint.write_text(json.dumps(stopped.get_state()))
        epoch, batch = stopped.position
        print(f"stopped after 200 batches, before batch {batch} of epoch {epoch}")

        # This could be another process, on another machine, a week later.
        resumed = start()
        resumed.set_state(json.loads(checkpoint.read_text()))
        after = first_values(resumed)
    same = before + after == uninterrupted
    print(f"{len(before)} + {len(after)} batches, {len(uninterrupted)} without the stop")
    print("the same batches in the same order" if same else "NOT the same batches")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
