"""Trains in a loop of its own, a tf.function, on handwritten digits from two .npy files.

    python examples/custom_loop.py

The loop over an epoch's batches is part of the graph. Exits with status 1 if the network has not
learned to read digits. Requires TensorFlow and scikit-learn.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow import keras

import npyfast

EPOCHS = 15
WANTED_ACCURACY = 0.95


def train(folder: Path) -> float:
    """Returns the accuracy on the held-out rows."""
    digits = load_digits()  # 1,797 real scans of 8 x 8 pixels from 0 to 16
    np.save(folder / "X.npy", digits.images.astype(np.uint8))
    np.save(folder / "y.npy", digits.target.astype(np.int32))

    # Pixels become float32 from 0 to 1 while the rows are copied.
    images = npyfast.source(folder / "X.npy", cast="float32", scale=1 / 16)
    source = images, folder / "y.npy"
    kept, held_out = npyfast.split(source, 0.8, seed=0)
    training = npyfast.dataset(source, batch_size=32, shuffle=True, seed=0, rows=kept)
    testing = npyfast.dataset(source, batch_size=256, rows=held_out)

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.layers.Input((8, 8)), *layers])
    optimizer = keras.optimizers.Adam(3e-3)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    # The dataset is an argument: one that the function makes would begin at epoch 0 at each call.
    @tf.function
    def run_epoch(dataset: Any) -> Any:
        total = 0.0
        for x, y in dataset:
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            total += loss
        return total

    for epoch in range(EPOCHS):  # each in another order
        total = run_epoch(training)
        print(f"epoch {epoch}: loss {float(total) / len(training):.3f}")

    right = 0
    for x, y in testing:
        guessed = tf.argmax(model(x), axis=1, output_type=y.dtype)
        right += int(tf.reduce_sum(tf.cast(guessed == y, tf.int32)))
    return right / len(held_out)


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
