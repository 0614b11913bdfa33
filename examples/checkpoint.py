"""Trains, stops in the middle of an epoch, and resumes exactly there with tf.train.Checkpoint.

    python examples/checkpoint.py

The iterator is saved with the weights and the optimizer, like any other part of the training.
Requires TensorFlow.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import npyfast

EPOCHS = 3
STOP_AFTER = 200  # batches


class Training:
    """Fits a line. The checkpoint holds its whole state."""

    def __init__(self, folder: Path) -> None:
        dataset = npyfast.dataset(
            (folder / "x.npy", folder / "y.npy"), 64, shuffle=True, seed=7, epochs=EPOCHS
        )
        self.batches = iter(dataset)
        self.slope = tf.Variable(0.0)
        self.steps = tf.Variable(0, dtype=tf.int64)
        self.checkpoint = tf.train.Checkpoint(
            iterator=self.batches, slope=self.slope, steps=self.steps
        )

    def run(self, steps: int | None = None) -> None:
        """Trains for a number of steps, or to the end."""
        for x, y in itertools.islice(self.batches, steps):
            self.slope.assign_add(0.01 * tf.reduce_mean((y - self.slope * x) * x))
            self.steps.assign_add(1)


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x = np.random.default_rng(0).standard_normal(10_000, dtype=np.float32)
        np.save(folder / "x.npy", x)
        np.save(folder / "y.npy", 3 * x)

        uninterrupted = Training(folder)
        uninterrupted.run()

        stopped = Training(folder)
        stopped.run(STOP_AFTER)
        path = stopped.checkpoint.save(str(folder / "checkpoint"))
        print(f"stopped after {int(stopped.steps)} steps")

        # This could be another process, a week later.
        resumed = Training(folder)
        resumed.checkpoint.restore(path).assert_consumed()
        resumed.run()
    print(f"{int(resumed.steps)} steps, {int(uninterrupted.steps)} without the stop")
    same = (
        resumed.steps.numpy() == uninterrupted.steps.numpy()
        and resumed.slope.numpy() == uninterrupted.slope.numpy()
    )
    print("the same weights, bit for bit" if same else "NOT the same weights")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
