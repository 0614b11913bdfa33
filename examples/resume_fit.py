"""Is killed in the middle of an epoch of `model.fit`, and goes on exactly there.

    python examples/resume_fit.py

Each training is a process of its own. The second one kills itself, and the third one goes on from
its backup. Its weights are those of the first, which ran without interruption. Requires Keras 3
and TensorFlow.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import npyfast

EPOCHS = 3
KILLED_AFTER = 137  # of 3 * 100 batches


def train(folder: Path, name: str, last_batch: int | None) -> None:
    import keras
    import tensorflow as tf

    class KillAfter(keras.callbacks.Callback):
        made = 0

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.made += 1
            if self.made == last_batch:
                os.kill(os.getpid(), signal.SIGKILL)

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    ds = npyfast.dataset((folder / "x.npy", folder / "y.npy"), 64, shuffle=True, seed=7)
    model = keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    model.fit(
        ds,
        epochs=EPOCHS,
        callbacks=[
            keras.callbacks.BackupAndRestore(folder / f"{name}_backup", save_freq=10),
            npyfast.SetEpoch(ds),
            KillAfter(),
        ],
        verbose=0,
        shuffle=False,  # by Keras, which leaves tf.data alone
    )
    print(f"{name}: {int(model.optimizer.iterations)} steps", flush=True)
    np.savez(folder / f"{name}.npz", *model.get_weights())


def start(*arguments: object) -> int:
    return subprocess.run([sys.executable, __file__, *map(str, arguments)]).returncode


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((6_400, 16), np.float32)
        np.save(folder / "x.npy", x)
        np.save(folder / "y.npy", np.sin(x.sum(axis=1)))

        assert start(folder, "uninterrupted", 0) == 0
        assert start(folder, "interrupted", KILLED_AFTER) == -signal.SIGKILL
        print(f"killed after {KILLED_AFTER} steps", flush=True)
        assert start(folder, "interrupted", 0) == 0
        runs = [np.load(folder / f"{name}.npz") for name in ("uninterrupted", "interrupted")]
        same = all(np.array_equal(runs[0][key], runs[1][key]) for key in runs[0])
    print("the same weights, bit for bit" if same else "NOT the same weights")
    return 0 if same else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) or None)
    else:
        sys.exit(main())
