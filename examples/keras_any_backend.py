"""Trains on handwritten digits with Keras 3 on the backend that KERAS_BACKEND names.

    KERAS_BACKEND=jax python examples/keras_any_backend.py    # or torch, or tensorflow

Saves two .npy files to a temporary folder, trains on four fifths of the rows and validates on the
rest. Exits with status 1 if the network has not learned to read digits.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits

import npyfast

EPOCHS = 15
WANTED_ACCURACY = 0.95


def save_digits(folder: Path) -> tuple[Path, Path]:
    """Saves 1,797 real scans of 8 x 8 pixels from 0 to 16, and the digits they show."""
    digits = load_digits()
    x, y = folder / "X.npy", folder / "y.npy"
    np.save(x, digits.images[..., np.newaxis].astype(np.uint8))
    np.save(y, digits.target.astype(np.int32))
    return x, y


def make_model() -> Any:
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train(folder: Path) -> float:
    """Returns the accuracy on the held-out rows."""
    keras.utils.set_random_seed(0)
    x, y = save_digits(folder)
    source = (npyfast.source(x, cast="float32", scale=1 / 16), y)
    kept, held_out = npyfast.split(y, 0.8, seed=0)
    training = npyfast.keras_dataset(source, batch_size=32, shuffle=True, seed=0, rows=kept)
    validation = npyfast.keras_dataset(source, batch_size=256, rows=held_out)
    print(npyfast.describe(training))

    model = make_model()
    model.fit(training, epochs=EPOCHS, validation_data=validation, verbose=2)
    _, accuracy = model.evaluate(validation, verbose=0)
    print(f"delivered for training: {npyfast.statistics(training)}")
    return float(accuracy)


def main() -> int:
    print(f"Keras {keras.__version__} on {keras.backend.backend()}, npyfast's {npyfast.backend}")
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
