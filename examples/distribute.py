"""Trains on two devices by tf.distribute on handwritten digits from two .npy files.

    python examples/distribute.py

Makes two logical devices of the CPU. tf.distribute divides each batch among them, and adds up their
gradients. Several processes, each with a shard, are in docs/scale-out.md. Exits with status 1 if
the network has not learned to read digits. Requires TensorFlow and scikit-learn.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow import keras

import npyfast

EPOCHS = 20
WANTED_ACCURACY = 0.95


def make_strategy() -> tf.distribute.Strategy:
    """Two devices. On a machine with GPUs, MirroredStrategy() without arguments has all of them."""
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def train(folder: Path) -> float:
    """Returns the accuracy on the held-out rows."""
    strategy = make_strategy()  # devices are chosen before anything runs on them
    digits = load_digits()  # 1,797 real scans of 8 x 8 pixels from 0 to 16
    np.save(folder / "X.npy", digits.images.astype(np.uint8))
    np.save(folder / "y.npy", digits.target.astype(np.int32))

    # Pixels become float32 from 0 to 1 while the rows are copied.
    images = npyfast.source(folder / "X.npy", cast="float32", scale=1 / 16)
    source = images, folder / "y.npy"
    kept, held_out = npyfast.split(source, 0.8, seed=0)
    # The batch of both devices together.
    training = npyfast.dataset(source, batch_size=64, shuffle=True, seed=0, rows=kept)
    testing = npyfast.dataset(source, batch_size=256, rows=held_out)

    keras.utils.set_random_seed(0)
    with strategy.scope():
        layers = [keras.layers.Flatten(), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
        model = keras.Sequential([keras.layers.Input((8, 8)), *layers])
        model.compile(
            optimizer=keras.optimizers.Adam(5e-3),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
    print(f"{strategy.num_replicas_in_sync} devices, each with half of every batch of 64")
    # Each epoch already comes in another order; shuffle=False only silences Keras's warning.
    model.fit(training, epochs=EPOCHS, shuffle=False, verbose=2)
    _, accuracy = model.evaluate(testing, verbose=0)
    return float(accuracy)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        accuracy = train(Path(folder))
    reached = accuracy >= WANTED_ACCURACY
    print(
        f"accuracy on held-out rows: {accuracy:.3f}, wanted: {WANTED_ACCURACY} "
        f"({'reached' if reached else 'MISSED'})"
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
