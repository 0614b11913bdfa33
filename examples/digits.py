"""Trains a small network on handwritten digits from two .npy files.

    python examples/digits.py [FOLDER]

Writes X.npy and y.npy to FOLDER (a temporary one by default), trains on four fifths of the rows and
validates on the rest. Exits with status 1 if the network has not learned to read digits.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.datasets import load_digits
from tensorflow import keras

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


def make_model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 16),
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
    source = save_digits(folder)

    # Training and validation rows come from the same files.
    count = npyfast.read_header(source[0]).shape[0]
    mixed = np.random.default_rng(0).permutation(count)
    held_out, kept = np.split(mixed, [count // 5])
    training = npyfast.dataset(source, batch_size=32, shuffle=True, seed=0, rows=kept)
    validation = npyfast.dataset(source, batch_size=256, rows=held_out)

    print(f"{folder}: X.npy {npyfast.read_header(source[0]).shape}, backend {npyfast.backend}")
    print(f"{len(kept):,} rows to train on, {len(held_out):,} held out")
    print(f"an element of the training data: {training.element_spec}")

    model = make_model()
    # Each epoch already comes in another order. shuffle=False only silences Keras's warning that
    # its own shuffling, on by default, does not apply to a tf.data.Dataset.
    model.fit(training, epochs=EPOCHS, validation_data=validation, shuffle=False, verbose=2)
    _, accuracy = model.evaluate(validation, verbose=0)
    return float(accuracy)


def main() -> int:
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        accuracy = train(folder)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            accuracy = train(Path(temporary))
    reached = accuracy >= WANTED_ACCURACY
    print(
        f"accuracy on held-out rows: {accuracy:.3f}, wanted: {WANTED_ACCURACY} "
        f"({'reached' if reached else 'MISSED'})"
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
